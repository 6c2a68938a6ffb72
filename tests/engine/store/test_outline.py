"""The outline of a story's tree: whatever the tree, nothing is lost in it and it stays small."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flower.engine.store import branches, outline, outline_fold, stories, trash
from flower.engine.store.connection import Connection
from flower.engine.store.outline_fold import Node, Shape, fold
from flower.errors import CommandError
from flower.protocol import tree_text
from flower.protocol.messages import TreeNode

S = "s"
# Id, the one above it, the one that the story went on with, whether it is in the trash; 0 for none.
Twig = tuple[int, int, int, int]


def shape_of(twigs: list[Twig], leaf: int | None) -> Shape:
    above = [(message, up) for message, up, _, _ in twigs]
    went_on = {message: child for message, _, child, _ in twigs if child}
    return Shape(above, leaf, {message for message, _, _, gone in twigs if gone}, went_on.get)


@st.composite
def trees(draw: st.DrawFn) -> tuple[list[Twig], int]:
    """A tree in the order in which it was written, some of it in the trash, and where the story stands."""
    count = draw(st.integers(1, 80))
    straight = draw(st.sampled_from([0.0, 0.7, 0.95]))  # how often a message follows the one before
    rows: list[tuple[int, int]] = [(1, 0)]
    for message in range(2, count + 1):
        on = draw(st.floats(0, 1)) < straight
        rows.append((message, message - 1 if on else draw(st.integers(0, message - 1))))
    above = dict(rows)
    gone = set(draw(st.lists(st.integers(2, count), max_size=3))) if count > 1 else set()
    for message in range(1, count + 1):
        if above[message] in gone:
            gone.add(message)
    went_on = {up: message for message, up in rows if draw(st.booleans())}
    visible = [message for message in range(1, count + 1) if message not in gone]
    twigs = [(message, up, went_on.get(message, 0), int(message in gone)) for message, up in rows]
    return twigs, draw(st.sampled_from(visible))


def path_of(twigs: list[Twig], message: int) -> list[int]:
    above = {twig[0]: twig[1] for twig in twigs}
    found = []
    while message:
        found.append(message)
        message = above[message]
    return found[::-1]


def held(twigs: list[Twig], nodes: list[Node]) -> dict[int, Node]:
    """Returns the node that each visible message is in; a fold holds what is not shown below it."""
    shown = {node.message: node for node in nodes if not node.deleted}
    found: dict[int, Node] = {}
    for message, above, _, gone in twigs:
        if gone:
            continue
        if message in shown:
            found[message] = shown[message]
        elif above in found and found[above].folded:
            found[message] = found[above]
        else:  # a sibling that was put together with others before it
            found[message] = max(
                (
                    n
                    for n in nodes
                    if n.folded
                    and n.parent == (found[above].message if above else 0)
                    and n.message <= message
                ),
                key=lambda n: n.message,
            )
    return found


@given(trees(), st.integers(1, 6), st.data())
def test_every_message_is_in_one_node_and_the_counts_add_up(
    made: tuple[list[Twig], int], most: int, data: st.DataObject
) -> None:
    twigs, leaf = made
    focus = data.draw(st.sampled_from([twig[0] for twig in twigs]))
    nodes = fold(shape_of(twigs, leaf), focus, (), most)
    visible = [twig[0] for twig in twigs if not twig[3]]
    within = held(twigs, nodes)
    assert sorted(within) == visible
    counted = [max(1, node.folded) for node in nodes if not node.deleted]
    assert sum(counted) == len(visible)
    assert len({node.message for node in nodes}) == len(nodes)
    for node in nodes:
        if node.folded:
            assert node.folded == sum(1 for other in within.values() if other is node)


@given(trees(), st.integers(1, 6), st.data())
def test_an_outline_is_a_bounded_tree_with_nodes_before_those_below_them(
    made: tuple[list[Twig], int], most: int, data: st.DataObject
) -> None:
    twigs, leaf = made
    focus = data.draw(st.sampled_from([twig[0] for twig in twigs]))
    nodes = fold(shape_of(twigs, leaf), focus, (), most)
    assert len(nodes) <= 4 * most + 1 + outline_fold.OUTLINE_DELETED
    seen = {0}
    for node in nodes:
        assert node.parent in seen
        seen.add(node.message)
    for parent in seen:
        beside = [node.message for node in nodes if node.parent == parent and not node.deleted]
        assert beside == sorted(beside), "siblings are in the order in which they were written"


@given(trees(), st.integers(1, 6))
def test_the_way_to_where_the_story_stands_is_whole(made: tuple[list[Twig], int], most: int) -> None:
    twigs, leaf = made
    nodes = fold(shape_of(twigs, leaf), None, (), most)
    path = path_of(twigs, leaf)
    within = held(twigs, nodes)
    active = [node for node in nodes if node.active]
    assert {node.message for node in active} == {within[message].message for message in path}
    above = 0
    for node in active:  # one after the other, without a gap
        assert node.parent == above
        above = node.message
    if most > 1:
        assert active[-1].message == leaf or active[-1].folded


@given(trees(), st.integers(4, 8), st.data())  # the focus, the end, what is above the focus
def test_every_message_is_reached_by_opening_the_fold_it_is_in(
    made: tuple[list[Twig], int], most: int, data: st.DataObject
) -> None:
    twigs, leaf = made
    shape = shape_of(twigs, leaf)
    wanted = data.draw(st.sampled_from([twig[0] for twig in twigs if not twig[3]]))
    nodes = fold(shape, None, (), most)
    for _ in range(2 * len(twigs)):
        node = held(twigs, nodes)[wanted]
        if not node.folded:
            return
        nodes = fold(shape, node.message, (), most)
        assert not held(twigs, nodes)[node.message].folded, "what was opened is there"
    raise AssertionError(f"{wanted} stays folded")


@given(trees())
def test_a_tree_that_is_small_enough_shows_every_fork_and_every_end(
    made: tuple[list[Twig], int],
) -> None:
    twigs, leaf = made
    nodes = {node.message: node for node in fold(shape_of(twigs, leaf), None)}
    below: dict[int, int] = {}
    for _, above, _, gone in twigs:
        below[above] = below.get(above, 0) + (not gone)
    for message, above, _, gone in twigs:
        if not gone and (below.get(message, 0) != 1 or below[above] > 1):
            assert not nodes[message].folded
            assert nodes[message].variants == below[above]
            assert nodes[message].leaf == (below.get(message, 0) == 0)


@given(trees(), st.integers(1, 6))
def test_lines_hold_every_node_once_and_the_way_of_the_story_stays_at_the_left(
    made: tuple[list[Twig], int], most: int
) -> None:
    twigs, leaf = made
    nodes = fold(shape_of(twigs, leaf), None, (), most)
    drawn = tree_text.tree_lines(
        [
            TreeNode(n.message, n.parent, active=n.active, chosen=n.chosen, thrown=n.deleted)
            for n in nodes
        ]
    )
    assert sorted(line.node.message for line in drawn) == sorted(node.message for node in nodes)
    at = {line.node.message: place for place, line in enumerate(drawn)}
    assert all(at[node.parent] < at[node.message] for node in nodes if node.parent)
    assert all(line.strokes == "" for line in drawn if line.node.active)


def test_a_fan_of_variants_does_not_push_out_the_rest() -> None:
    """A thousand retries of one line and a way of 200 exchanges with a variant each."""
    twigs: list[Twig] = [(1, 0, 2, 0), (2, 1, 0, 0)]
    twigs += [(message, 2, 0, 0) for message in range(3, 1003)]
    last = 1002
    for message in range(1003, 1603, 3):
        twigs += [(message, last, 0, 0), (message + 1, message, 0, 0), (message + 2, message, 0, 0)]
        last = message + 2
    nodes = fold(shape_of(twigs, last), None)
    shown = [node for node in nodes if not node.folded]
    assert len(nodes) < 250
    assert sum(node.message > 1002 for node in shown) > 50
    assert sum(node.folded for node in nodes) + len(shown) == len(twigs)


# --- out of the database ------------------------------------------------------------------------


@pytest.fixture
def db(db: Connection) -> Connection:
    stories.create_session(db, S, "harbour", "", "Hello.", 1.0)
    return db


def say(db: Connection, line: str) -> int:
    leaf = stories.active_leaf(db, S)
    said = stories.append(db, S, leaf, "user", line, "complete", now=2.0)
    return stories.append(db, S, said, "assistant", f"{line} Yes.", "complete", now=2.0)


def drawn(db: Connection, focus: int | None = None) -> list[str]:
    """The outline as a person reads it."""
    found = outline.read(db, S, focus)
    nodes = [
        TreeNode(
            node.message,
            node.parent,
            found.words[node.message].role if not node.folded else "",
            found.words[node.message].beginning if not node.folded else "",
            variant=node.variant,
            variants=node.variants,
            branches=tuple(found.names.get(node.message, ())),
            active=node.active,
            chosen=node.chosen,
            below=node.below,
            thrown=node.deleted,
            folded=node.folded,
            ends=node.ends,
        )
        for node in found.nodes
    ]
    return tree_text.as_text(nodes, found.leaf, found.focus, 40).splitlines()


def test_a_story_with_a_variant_a_named_branch_and_something_in_the_trash(
    db: Connection,
) -> None:
    first = say(db, "One.")
    say(db, "Two.")
    made = branches.open_variant(db, S, first, "m", 3.0)
    branches.begin(db, S, first, "east door", 4.0)
    thrown = say(db, "Three.")
    trash.discard(db, S, thrown - 1, 5.0)
    assert drawn(db) == [
        "* 1 Hello.",
        "* 2 You: One.",
        f"|-o {made.reply_id} (nothing yet) 2/2 [main]",
        "@ 3 One. Yes. 1/2 [east door]",
        f"|-x {thrown - 1} You: Three. (in the trash, with 1 below it)",
        "o 4 You: Two.",
        "o 5 Two. Yes.",
    ]


def test_a_long_run_is_one_line_that_says_how_to_open_it(db: Connection) -> None:
    for number in range(30):
        say(db, f"Line {number}.")
    rows = drawn(db)
    assert rows[0] == "* 1 Hello."
    assert rows[1] == f": {60 - outline_fold.OUTLINE_NEAR - 1} messages from message 2"
    assert rows[2:][0].startswith(f"* {61 - outline_fold.OUTLINE_NEAR}")
    assert drawn(db, 20)[1] == f": {20 - 2 - outline_fold.OUTLINE_NEAR} messages from message 2"


def test_what_is_in_the_trash_is_shown_even_when_all_of_the_story_is(db: Connection) -> None:
    say(db, "One.")
    trash.discard(db, S, 1, 5.0)
    assert drawn(db) == ["x 1 Hello. (in the trash, with 2 below it)"]


def test_an_empty_story_has_an_empty_outline(db: Connection) -> None:
    stories.create_session(db, "bare", "harbour", "", "", 1.0)
    assert outline.read(db, "bare", None).nodes == []


def test_a_message_of_another_story_is_no_focus_and_cannot_be_read(db: Connection) -> None:
    stories.create_session(db, "other", "harbour", "", "Secret.", 1.0)
    other = stories.active_path(db, "other")[0].id
    for look in (outline.read, outline.message):
        with pytest.raises(CommandError, match=f"no message {other} in this story"):
            look(db, S, other)  # type: ignore[operator]  # both take a connection, a story, a message

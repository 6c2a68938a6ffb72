"""Rules of folding a tree, on one tree that has it all: forks, ends, variants, long runs, some in the trash."""

from __future__ import annotations

from itertools import pairwise

import pytest

from flower import limits
from flower.engine.store import branches, outline, outline_fold, stories
from flower.engine.store.outline_fold import Node, Shape, fold
from flower.errors import CommandError
from tests.stores import connected

# Above the numbers of which Python has one object each.
WAYS = (
    (0, *range(301, 321)),
    (310, *range(331, 341)),
    (310, 351, 352),
    (315, *range(361, 364)),
    (335, 371),
    (335, 372),
    (335, 373),
    (0, 381, 382),
    (312, 391, 392),
)


def shape(leaf: int | None, gone: tuple[int, ...]) -> Shape:
    twigs = {message: above for way in WAYS for above, message in pairwise(way)}
    return Shape(sorted(twigs.items()), leaf, set(gone), {310: 331, 335: 372}.get)


def drawn(node: Node) -> str:
    flags = "".join(f" {f}" for f in ("active", "chosen", "leaf", "deleted") if getattr(node, f))
    several = f" +{node.folded} ends {node.ends}" if node.folded else ""
    beside = f" {node.variant}/{node.variants}" if node.variants > 1 else ""
    return f"{node.parent}>{node.message}{several} below {node.below}{beside}{flags}"


@pytest.mark.parametrize(
    ("focus", "most", "leaf", "gone", "named", "outline"),
    [
        (
            None,
            8,
            340,
            (),
            (),
            [
                "0>301 below 39 1/2 active chosen",
                "301>302 +26 ends 4 below 13 active chosen",
                "302>331 below 12 2/3 active chosen",
                "331>332 +3 ends 0 below 9 active chosen",
                "332>335 below 8 active chosen",
                "335>336 below 4 1/4 active chosen",
                "336>337 below 3 active chosen",
                "337>338 below 2 active chosen",
                "338>339 below 1 active chosen",
                "339>340 below 0 active chosen leaf",
                "335>371 below 0 2/4 leaf",
                "335>372 +2 ends 2 below 0",
                "0>381 +2 ends 1 below 0",
            ],
        ),
        (
            316,
            8,
            340,
            (391, 392, 352),
            (),
            [
                "0>301 +26 ends 4 below 11 active chosen",
                "301>314 below 9 chosen",
                "314>315 below 8 chosen",
                "315>316 below 4 1/2",
                "316>317 below 3 chosen",
                "317>318 below 2 chosen",
                "318>319 below 1 chosen",
                "319>320 below 0 chosen leaf",
                "315>361 below 2 2/2 chosen",
                "361>362 +2 ends 1 below 0 chosen",
                "301>340 below 0 active chosen leaf",
                "0>381 +2 ends 1 below 0",
            ],
        ),
        (
            351,
            12,
            373,
            (391, 392),
            (320,),
            [
                "0>301 below 37 1/2 active chosen",
                "301>302 +7 ends 0 below 30 active chosen",
                "302>309 below 29 active chosen",
                "309>310 below 28 active chosen",
                "310>311 below 12 1/3",
                "311>312 +11 ends 1 below 1 chosen",
                "312>320 below 0 chosen leaf",
                "310>331 below 12 2/3 active chosen",
                "331>332 +3 ends 0 below 9 active chosen",
                "332>335 below 8 active chosen",
                "335>336 +5 ends 1 below 0",
                "335>371 below 0 2/4 leaf",
                "335>372 below 0 3/4 leaf",
                "335>373 below 0 4/4 active chosen leaf",
                "310>351 below 1 3/3",
                "351>352 below 0 chosen leaf",
                "0>381 +2 ends 1 below 0",
            ],
        ),
        (
            391,
            60,
            None,
            (391, 392),
            (),
            [
                "0>301 below 37 1/2",
                "301>302 +8 ends 0 below 29 chosen",
                "302>310 below 28 chosen",
                "310>311 below 12 1/3",
                "311>312 below 11 chosen",
                "312>391 below 1 deleted",
                "312>313 below 10 chosen",
                "313>314 below 9 chosen",
                "314>315 below 8 chosen",
                "315>316 below 4 1/2",
                "316>317 +3 ends 0 below 1 chosen",
                "317>320 below 0 chosen leaf",
                "315>361 below 2 2/2 chosen",
                "361>362 below 1 chosen",
                "362>363 below 0 chosen leaf",
                "310>331 below 12 2/3 chosen",
                "331>332 +3 ends 0 below 9 chosen",
                "332>335 below 8 chosen",
                "335>336 below 4 1/4",
                "336>337 +3 ends 0 below 1 chosen",
                "337>340 below 0 chosen leaf",
                "335>371 below 0 2/4 leaf",
                "335>372 below 0 3/4 chosen leaf",
                "335>373 below 0 4/4 leaf",
                "310>351 below 1 3/3",
                "351>352 below 0 chosen leaf",
                "0>381 below 1 2/2 chosen",
                "381>382 below 0 chosen leaf",
            ],
        ),
    ],
)
def test_an_outline_is_what_is_near_the_forks_and_the_ends_and_folds_the_rest(
    monkeypatch: pytest.MonkeyPatch,
    focus: int | None,
    most: int,
    leaf: int | None,
    gone: tuple[int, ...],
    named: tuple[int, ...],
    outline: list[str],
) -> None:
    monkeypatch.setattr(outline_fold, "OUTLINE_NEAR", 2)
    assert [drawn(node) for node in fold(shape(leaf, gone), focus, named, most)] == outline


def test_turns_are_forks_ends_and_siblings_and_lead_to_the_next_ones() -> None:
    tree = shape(340, ())
    turns = outline_fold._Turns(tree)
    assert {message: turns.next_to(message) for message in tree.order if turns.is_one(message)} == {
        301: [381, 310],
        310: [301, 331],
        311: [310, 331, 312],
        312: [311, 391],
        313: [312, 391, 315],
        315: [313, 361],
        316: [315, 361, 320],
        320: [316],
        331: [310, 311, 351, 335],
        335: [331, 336],
        336: [335, 371, 340],
        340: [336],
        351: [310, 331, 352],
        352: [351],
        361: [315, 316, 363],
        363: [361],
        371: [335, 336, 372],
        372: [335, 371, 373],
        373: [335, 372],
        381: [301, 382],
        382: [381],
        391: [312, 313, 392],
        392: [391],
    }
    assert turns.next_to(305) == [301, 310]  # from within a run


def test_an_outline_is_around_what_is_asked_for_else_where_the_story_is_else_its_beginning() -> None:
    with connected("sqlite") as db:
        stories.create_session(db, "s", "harbour", "", "", 1.0)
        empty = outline.read(db, "s", None)
        assert (empty.focus, empty.leaf, empty.messages, empty.nodes, empty.words) == (0, 0, 0, [], {})
        first = stories.append(db, "s", None, "user", "One.", "complete", now=1.0)
        second = stories.append(db, "s", first, "assistant", "Two.", "complete", now=1.0)
        around = [outline.read(db, "s", focus) for focus in (None, first, second)]
        assert [(one.focus, one.leaf, one.messages) for one in around] == [
            (second, second, 2), (first, second, 2), (second, second, 2)
        ]  # fmt: skip
        assert around[0].words[first] == outline.Words("user", "complete", "One.")
        db.execute("UPDATE sessions SET active_leaf = NULL")
        nowhere = outline.read(db, "s", None)
        assert (nowhere.focus, nowhere.leaf, len(nowhere.nodes)) == (first, 0, 2)
        assert outline.message(db, "s", second)[1] is False
        db.execute("UPDATE messages SET deleted = 1.0 WHERE id = ?", (second,))
        assert outline.message(db, "s", second)[1] is True
        assert outline.read(db, "s", None).messages == 1


def straight(last: int, *more: tuple[int, ...], gone: tuple[int, ...] = ()) -> Shape:
    """A story of one way from 301 to ``last``, which is where it is, and more ways."""
    ways = ((0, *range(301, last + 1)), *more)
    twigs = {message: above for way in ways for above, message in pairwise(way)}
    return Shape(sorted(twigs.items()), last, set(gone))


def test_eight_messages_above_and_below_the_focus_are_shown_and_the_way_into_the_story() -> None:
    nodes = fold(straight(400), 350)
    assert [(node.message, node.folded) for node in nodes if node.folded] == [(302, 40), (359, 40)]
    shown = [node.message for node in nodes if not node.folded]
    assert shown == [301, *range(342, 359), 399, 400]


def test_the_ends_of_forty_named_branches_are_shown_before_those_of_others() -> None:
    ends = tuple((301, 1000 + number, 2000 + number) for number in range(60))
    tree = straight(320, *ends)
    named = [2000 + number for number in reversed(range(60))]
    most = 1 + 1 + 17 + 2 + 1 + 40
    shown = {node.message for node in fold(tree, 320, named, most) if not node.folded}
    assert {number for number in shown if number >= 2000} >= set(named[:40])
    assert named[40] not in outline_fold._singles(tree, 320, named[:41], 9 + 1 + 1 + 2 + 1 + 40)


def test_an_outline_without_a_bound_of_its_own_shows_120_messages() -> None:
    ends = tuple((301, 1000 + number) for number in range(400))
    tree = straight(310, *ends)
    assert len(outline_fold._singles(tree, 310, (), outline_fold.OUTLINE_MESSAGES)) == 120
    nodes = fold(tree, 310)
    assert nodes == fold(tree, 310, (), 120)
    assert nodes != fold(tree, 310, (), 119)
    assert nodes != fold(tree, 310, (), 121)


def test_of_the_trash_twenty_are_shown_the_newest_of_a_message_first() -> None:
    """All that was thrown away below one message, then below the next, until there is no more room."""
    gone = tuple(range(1000, 1030))
    below = tuple((301, number) for number in range(1000, 1012)) + tuple(
        (302, number) for number in range(1012, 1030)
    )
    nodes = fold(straight(305, *below, gone=gone), None)
    deleted = [(node.parent, node.message) for node in nodes if node.deleted]
    first = [(301, number) for number in reversed(range(1000, 1012))]
    assert deleted == first + [(302, number) for number in reversed(range(1022, 1030))]
    at_the_top = fold(straight(305, (0, 1000), (0, 1001, 1002), gone=(1000, 1001, 1002)), None)
    assert [(node.parent, node.message, node.below) for node in at_the_top if node.deleted] == [
        (0, 1001, 1),
        (0, 1000, 0),
    ]


@pytest.mark.parametrize(("room", "left", "shown"), [(5, 3, 2), (2, 0, 2), (1, 0, 1), (0, 0, 0)])
def test_what_the_trash_shows_takes_room(room: int, left: int, shown: int) -> None:
    tree = straight(303, (301, 1000, 1001), (301, 1002), gone=(1000, 1001, 1002))
    nodes: list[Node] = []
    assert outline_fold._throw(tree, nodes, 301, room) == left
    assert nodes == [Node(1002, 301, deleted=True), Node(1000, 301, below=1, deleted=True)][:shown]
    assert outline_fold._throw(tree, nodes, 302, room) == room


def test_hidden_siblings_are_one_fold_unless_something_shown_is_below_one() -> None:
    def hidden(top: int, messages: int, ends: int, size: int, **more: bool) -> outline_fold._Fold:
        made = outline_fold._Fold(top, size, chosen=more.get("chosen", False))
        made.messages, made.ends = messages, ends
        made.active, made.open = more.get("active", False), more.get("open", False)
        return made

    def said(kid: int | outline_fold._Fold) -> object:
        if isinstance(kid, int):
            return kid
        return kid.top, kid.messages, kid.ends, kid.size, kid.active, kid.chosen, kid.open

    kids: list[int | outline_fold._Fold] = [
        hidden(401, 300, 2, 310),
        hidden(402, 5, 1, 6, active=True),
        hidden(403, 7, 3, 8, chosen=True),
        410,
        hidden(411, 1, 1, 1),
        hidden(412, 2, 1, 3, open=True),
        hidden(413, 2, 1, 2, chosen=True, active=True),
        hidden(414, 4, 1, 4),
    ]
    assert [said(kid) for kid in outline_fold._merged([*kids])] == [
        (401, 312, 6, 324, True, True, False),
        410,
        (411, 1, 1, 1, False, False, False),
        (412, 2, 1, 3, False, False, True),
        (413, 6, 2, 6, True, True, False),
    ]
    assert outline_fold._merged([]) == []


def test_a_fold_of_one_message_is_that_message_and_counts_what_is_below_all_of_it() -> None:
    tree = straight(305)
    one = outline_fold._Fold(302, 4, chosen=True)
    one.messages = 1
    assert outline_fold._folded(tree, one, 301) == Node(302, 301, below=3, active=True, chosen=True)
    one.messages, one.ends = 3, 1
    assert outline_fold._folded(tree, one, 301) == Node(302, 301, 3, 1, 1, chosen=True)


def test_a_message_in_the_trash_is_looked_at_from_the_one_it_hung_below() -> None:
    tree = straight(400, (320, 1000, 1001), gone=(1000, 1001))
    assert fold(tree, 1001) == fold(tree, 320)
    assert fold(tree, None) == fold(tree, 400)
    everything = Shape([(301, 0), (302, 301)], None, {301, 302})
    assert fold(everything, 302) == [Node(301, 0, below=1, deleted=True)]
    assert fold(Shape([], None), None) == []


def test_the_story_goes_on_with_a_chosen_message_only_where_it_is_still_there() -> None:
    twigs = [(301, 0), (302, 301), (303, 301), (304, 301), (305, 302)]
    for chosen, gone, expected in (
        (302, (), 302),
        (302, (302, 305), 304),
        (305, (), 304),  # another's
        (None, (), 304),
        (303, (), 303),
    ):
        tree = Shape(twigs, None, set(gone), {301: chosen}.get)
        kids = tree.children[301]
        assert tree.entry(301, kids) == expected
        assert [kid for kid in kids if tree.is_chosen(kid)] == [expected]
    went = Shape(twigs, 305, (), lambda _: 303)
    assert (went.entry(301, went.children[301]), list(went.below(301))) == (302, [302, 305])


def test_of_a_long_message_an_outline_has_the_beginning() -> None:
    """Four previews of it: what is no line of its own is cut where it is shown."""
    most = 4 * limits.PREVIEW_CHARS
    with connected("sqlite") as db:
        stories.create_session(db, "s", "harbour", "mara", "x" * (most - 1) + "yz", 1.0)
        stories.append(db, "s", 1, "user", "z" * (most - 1), "complete", now=1.0)
        words = outline.read(db, "s", None).words
        assert {number: one.beginning for number, one in words.items()} == {
            1: "x" * (most - 1) + "y", 2: "z" * (most - 1)
        }  # fmt: skip
        assert [(one.role, one.status) for one in words.values()] == [
            ("assistant", "complete"), ("user", "complete")
        ]  # fmt: skip


def test_branches_that_end_at_one_message_are_named_the_one_in_use_first() -> None:
    with connected("sqlite") as db:
        stories.create_session(db, "s", "harbour", "mara", "Hello.", 1.0)
        for number, name in enumerate(("north", "east", "west"), 2):
            branches.begin(db, "s", None, name, float(number))
        assert outline.read(db, "s", None).names == {1: ["west", "main", "north", "east"]}
        with pytest.raises(CommandError, match="There is no message 9 in this story"):
            outline.read(db, "s", 9)
        stories.create_session(db, "other", "harbour", "mara", "Hello.", 1.0)
        for number in (2, 9):
            with pytest.raises(CommandError, match=f"There is no message {number} in this story"):
                outline.message(db, "s", number)

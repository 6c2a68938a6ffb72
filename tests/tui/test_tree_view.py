"""The story's tree on the screen: walked by keys, followed live, asked for no more than needed."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flower import limits
from flower.protocol.messages import (
    ChatHistory,
    ErrorEvent,
    HistoryMeta,
    ShownMessage,
    State,
    StoryTree,
    SystemUpdate,
    TreeNode,
)
from flower.tui.state.effects import Copy, Quit
from flower.tui.state.tree_state import TREE_REFRESH_S, TREE_TEXT_S, TREE_TEXTS, chosen, lines, place_of
from flower.tui.term.diff import Capabilities, Painter
from flower.tui.term.inputs import Mouse
from tests.screen import Screen
from tests.tui.test_screens import compare
from tests.tui_world import COMMANDS, Face, chunk, end, history, reply_begins

LINES = (
    ("assistant", "The tide is out, and the harbour lies dry to the far wall."),
    ("user", "I knock at the river door."),
    ("assistant", "Nobody answers. A gull laughs."),
)
NODES = (
    TreeNode(1, 0, "assistant", LINES[0][1], active=True, chosen=True, below=29),
    TreeNode(2, 1, "user", LINES[1][1], active=True, chosen=True, below=28),
    TreeNode(
        3, 2, "assistant", LINES[2][1], variant=1, variants=3, active=True, chosen=True, leaf=True
    ),
    TreeNode(4, 2, "assistant", "A voice: who is there?", variant=2, variants=3, below=17),
    TreeNode(5, 4, active=False, chosen=True, folded=16, ends=2),
    TreeNode(
        21, 5, "assistant", "The wall goes on and on.", branches=("main",), chosen=True, leaf=True
    ),
    TreeNode(30, 4, "user", "I run.", below=1, thrown=True),
    TreeNode(
        22, 2, "assistant", "Steps on the stair.", variant=3, variants=3, status="stopped", leaf=True
    ),
)


def tree(*nodes: TreeNode, stands: int = 3, focus: int = 3, session: str = "s1") -> SystemUpdate:
    outline = StoryTree(session, focus, stands, 24, nodes or NODES)
    return SystemUpdate("The story's tree:\n* 1", State(tree=outline))


def text(message: int, words: str, *, cut: bool = False) -> SystemUpdate:
    return SystemUpdate(words, State(shown=ShownMessage("s1", message, "assistant", cut=cut)))


def playing(columns: int = 80, rows: int = 24, **look: object) -> Face:
    """A face on a story whose engine knows the tree."""
    face = Face(columns, rows, **look)  # type: ignore[arg-type]  # a test's loose keywords
    option = COMMANDS[0].__class__("/tree", "/tree [MESSAGE]", "see the tree")
    face.online(session="s1", chosen=True, commands=(*COMMANDS, option))
    face.says(history(LINES))
    face.tick(60)
    face.sent()
    return face


def walking(columns: int = 80, rows: int = 24, **look: object) -> Face:
    """The same with its tree open, everything asked and answered."""
    face = playing(columns, rows, **look).type("<f8>").says(tree())
    face.tick(1)
    face.sent()
    return face


def at(face: Face) -> int:
    node = chosen(face.model)
    assert node is not None
    return node.message


def prompts(face: Face) -> list[str]:
    return [sent.prompt for sent in face.sent()]


# --- opening and closing ------------------------------------------------------------------------


@pytest.mark.parametrize("keys", ["<f8>", "<alt+g>", "/tree<enter>"])
def test_a_key_or_the_command_opens_it_where_the_story_stands(keys: str) -> None:
    face = playing().type(keys)
    assert prompts(face) == ["/tree"]
    assert "fetching the tree" in face.text()
    face.says(tree())
    assert at(face) == 3
    assert "here" in face.text()


def test_it_opens_at_a_message_if_one_is_named() -> None:
    face = playing().type("/tree 22<enter>")
    assert prompts(face) == ["/tree 22"]
    assert at(face.says(tree(focus=22))) == 22


@pytest.mark.parametrize("keys", ["<escape>", "<ctrl+c>", "<f8>"])
def test_it_closes_and_leaves_the_typed_line_alone(keys: str) -> None:
    face = playing().type("half a line").type("<f8>").says(tree()).type(keys)
    assert face.model.tree is None
    assert face.model.input.text == "half a line"
    assert not any(isinstance(effect, Quit) for effect in face.effects)


@pytest.mark.parametrize(
    ("line", "says"), [("/tree one", "opens the tree at message"), ("/tree -1", "opens the tree")]
)
def test_what_is_no_number_is_told(line: str, says: str) -> None:
    face = playing().type(f"{line}<enter>")
    assert says in face.text()
    assert (face.model.tree, prompts(face)) == (None, [])


def test_without_a_story_or_an_engine_that_knows_trees_it_stays_closed() -> None:
    assert "no story yet" in Face().online().type("<f8>").text()
    old = Face().story(*LINES).type("<f8>")
    assert "/branches" in old.text()
    lost = playing().link("lost", "No engine.").type("<f8>")
    assert lost.model.tree is None


def test_an_answer_that_comes_after_it_was_closed_opens_nothing() -> None:
    face = playing().type("<f8><escape>")
    before = face.text()
    face.says(tree())
    assert (face.model.tree, face.model.popup, face.text()) == (None, None, before)


def test_another_story_closes_it() -> None:
    face = walking().says(SystemUpdate("", State(session_id="s2")))
    assert face.model.tree is None


# --- walking ------------------------------------------------------------------------------------


def test_up_and_down_walk_the_lines_as_they_are_drawn() -> None:
    face = walking()
    # Others turn off before the way goes on: 4 with what is below it, then 22, then 3.
    assert at(face) == 3
    assert [at(face.type("<up>")) for _ in range(9)] == [22, 21, 5, 30, 4, 2, 1, 1, 1]
    assert at(face.type("<down>")) == 2
    assert at(face.type("<end>")) == 3
    assert at(face.type("<home>")) == 1
    assert at(face.type("<pagedown>")) == 3
    assert at(face.type("<pageup>")) == 1
    assert at(face.type(".")) == 3


def test_left_and_right_walk_the_variants_and_then_up_and_down_the_way() -> None:
    face = walking()
    assert [at(face.type("<right>")) for _ in range(2)] == [4, 22]
    assert at(face.type("<right>")) == 22, "nothing follows it"
    assert [at(face.type("<left>")) for _ in range(5)] == [4, 3, 2, 1, 1]
    assert [at(face.type("<right>")) for _ in range(2)] == [2, 3], "with the way the story takes"


def test_a_fold_is_opened_by_asking_for_what_is_around_it() -> None:
    for key in ("<enter>", "<right>"):
        face = walking().type("<up><up><up>")
        assert at(face) == 5
        assert "16 messages, 2 ways end here" in face.text()
        face.sent()
        assert prompts(face.type(key)) == ["/tree 5"]
        inner = TreeNode(5, 4, "user", "I look for another door.", chosen=True, below=16)
        face.says(tree(*NODES[:4], inner, focus=5))
        assert at(face) == 5
        assert "I look for another door." in face.text()


def test_a_filter_leaves_the_lines_with_its_words() -> None:
    face = walking().type("/stair")
    assert at(face) == 22
    assert "Steps on the stair" in face.text()
    assert "Nobody answers" not in face.text()
    face.type("<enter><escape>")
    assert (face.model.tree is not None, at(face)) == (True, 22)
    assert at(face.type("/main<enter>")) == 21
    assert "nothing here fits" in face.type("/xyz").text()
    face.type("<escape><escape><escape>")
    assert face.model.tree is None


def test_a_deep_branch_keeps_room_for_its_words() -> None:
    nodes = [TreeNode(1, 0, "user", "Root.", active=True)]
    for depth in range(1, 60):
        nodes += [
            TreeNode(2 * depth, 2 * depth - 1, "user", f"Deep {depth}."),
            TreeNode(2 * depth + 1, 2 * depth - 1, "user", f"Deeper {depth}.", chosen=depth % 2 == 0),
        ]
    face = playing(40, 12).type("<f8>").says(tree(*nodes, stands=1, focus=1))
    for _ in range(len(nodes)):
        node = chosen(face.model)
        assert node is not None
        assert node.text in face.text()
        face.type("<down>")


def test_walking_to_what_a_filter_hides_ends_the_filter() -> None:
    face = walking().type("/stair<enter>.")
    assert (at(face), face.model.tree and face.model.tree.filter) == (3, "")
    face = walking().type("/stair<enter><left>")
    assert at(face) == 2


def test_a_reply_that_the_filter_hides_leaves_the_choice() -> None:
    grown = TreeNode(31, 3, "user", "I wait.", active=True, leaf=True)
    face = walking().type("/a<enter>.")
    before = at(face)
    face.says(tree(*NODES, grown, stands=31, focus=31))
    face.sent()
    assert face.model.tree is not None
    assert at(face) == face.model.tree.at
    assert before in (face.model.tree.at, 3)


def highlighted(face: Face) -> int:
    """The message of the row that the screen shows as chosen."""
    assert face.model.tree is not None
    shown = lines(face.model)
    return shown[place_of(shown, face.model.tree.at)].node.message


KEYS = (
    "<up>",
    "<down>",
    "<left>",
    "<right>",
    "<home>",
    "<end>",
    ".",
    "<escape>",
    "d",
    "n",
    "y",
    "<enter>",
)
STEPS = st.sampled_from(
    (*KEYS, "/stair<enter>", "/i<enter>", "/main<enter>", "/zz", "wheel", "grown", "less")
)


@given(steps=st.lists(STEPS, max_size=14))
def test_what_is_highlighted_is_what_is_acted_on(steps: list[str]) -> None:
    """Any keys, any filter, whatever the engine says between a question and its answer."""
    grown = TreeNode(31, 3, "user", "I wait.", active=True, leaf=True)
    face = walking()
    for step in steps:
        if face.model.tree is None:
            face = walking()
        asked = re.search(r"message (\d+) into the trash", face.text())
        row = highlighted(face) if lines(face.model) else 0
        if asked:
            assert int(asked.group(1)) == row
        face.sent()
        if step == "wheel":
            face.put(Mouse("wheel_up", 1, 1))
        elif step == "grown":
            face.says(tree(*NODES, grown, stands=31, focus=31))
        elif step == "less":
            face.says(tree(*NODES[:3]))
        else:
            face.type(step)
        for line in prompts(face):
            if line.startswith(("/delete", "/branch")):
                assert int(line.split()[1]) == row
        if face.model.tree is not None and lines(face.model):
            assert face.model.tree.at == highlighted(face)


def test_a_number_that_no_message_can_have_is_refused() -> None:
    face = playing().type("/tree ").paste("1" * 5000).type("<enter>")
    assert "so long a number" in face.text()
    assert (face.model.tree, prompts(face)) == (None, [])


# --- the text -----------------------------------------------------------------------------------


def test_a_text_is_fetched_once_when_the_cursor_rests_and_not_while_it_walks() -> None:
    face = walking()
    face.type("<up><up><up>")  # quicker than anyone reads
    assert prompts(face) == []
    face.tick(TREE_TEXT_S)
    assert prompts(face) == [], "a fold has no text"
    face.type("<up><up>").tick(TREE_TEXT_S)
    assert prompts(face) == ["/show 4"]
    face.tick(5)
    assert prompts(face) == [], "it is on its way"
    face.says(text(4, "A voice: who is there?\n\nThe door has no handle.", cut=True))
    assert "The door has no handle.…" in face.text()
    face.type("<down><up>").tick(1)
    assert prompts(face) == [], "it is known"


def test_what_the_screen_has_of_the_story_is_not_asked_for() -> None:
    face = walking().type("<home>")
    face.tick(1)
    assert prompts(face) == []
    assert "far wall." in face.text()


def test_texts_that_are_kept_are_bounded() -> None:
    nodes = [TreeNode(n, n - 1, "user", f"Line {n}.", active=True) for n in range(1, 2 * TREE_TEXTS)]
    face = playing().type("<f8>").says(tree(*nodes, stands=1, focus=1))
    for node in nodes:
        face.tick(1)
        for sent in face.sent():
            if sent.prompt.startswith("/show"):
                face.says(text(int(sent.prompt.split()[1]), "long " * 100))
        assert face.model.tree is not None
        assert len(face.model.tree.texts) <= TREE_TEXTS
        face.type("<down>")
        assert node is not None


def test_a_long_text_can_be_scrolled_and_begins_again_at_the_next_message() -> None:
    face = walking().type("<up>").says()
    face.tick(1)
    face.says(text(22, "\n".join(f"Row {n}." for n in range(40))))
    assert "Row 0." in face.text()
    face.type("<alt+down><alt+down>")
    assert "Row 0." not in face.text()
    assert "Row 2." in face.text()
    for _ in range(60):
        face.type("<alt+down>")
    assert "Row 39." in face.text()
    face.type("<down><up>")
    assert "Row 0." in face.text()


def test_a_message_asked_for_by_hand_is_shown_like_any_answer() -> None:
    face = playing().says(text(22, "Steps on the stair.\nThen nothing."))
    assert "Then nothing." in face.text()


# --- doing --------------------------------------------------------------------------------------


def test_enter_goes_there_and_closes_the_tree() -> None:
    face = walking().type("<up><enter>")
    assert (prompts(face), face.model.tree) == (["/goto 22"], None)
    face = walking().type("<enter>")
    assert (prompts(face), face.model.tree) == ([], None), "the story stands there already"


def test_a_variant_is_written_and_followed() -> None:
    face = walking().type("<up>r")
    assert prompts(face) == ["/retry 22"]
    face.says(text(22, "Steps."), reply_begins(31)).tick(TREE_REFRESH_S)
    assert "/tree" in prompts(face)
    grown = TreeNode(31, 2, "assistant", "", status="streaming", variant=4, variants=4, active=True)
    face.says(tree(*NODES, grown, stands=31, focus=31))
    assert at(face) == 31
    assert "(nothing yet)" in face.text()
    face.says(chunk("It opens ", 0)).tick(1)
    assert face.text().count("It opens") == 2, "in its line and below"
    face.type("<up>").says(chunk("slowly.", 9)).tick(1)
    assert face.text().count("It opens slowly.") == 1


def test_a_branch_gets_a_name_that_is_typed() -> None:
    face = walking().type("<up>n")
    assert "name of the branch:" in face.text()
    face.type("the staiX<backspace>r").paste("s\nand more")
    assert prompts(face.type("<enter>")) == ["/branch 22 the stairs"]
    assert prompts(face.type("n<escape>")) == []
    assert face.model.tree is not None
    assert prompts(face.type("n<enter>")) == ["/branch 22"], "the engine finds a name"


def test_deleting_is_asked_first_and_can_be_taken_back() -> None:
    face = walking().type("<up>d")
    assert "into the trash" in face.text()
    assert prompts(face.type("n")) == []
    assert prompts(face.type("dy")) == ["/delete 22"]
    face.type("<up><up><up>")
    assert at(face) == 30
    face.sent()
    assert "It is in the trash" in face.type("<enter>").text()
    assert prompts(face.type("d")) == []
    assert prompts(face.type("u")) == ["/restore 30"]


def test_a_fold_is_no_message_to_do_something_with() -> None:
    face = walking().type("<up><up><up>")
    face.sent()
    for key in "rndu":
        face.type(key)
    assert prompts(face) == []
    assert "Enter opens them" in face.text()


def test_what_the_engine_refuses_is_read_while_the_tree_is_open() -> None:
    face = walking().type("<up>r").says(ErrorEvent("A reply is being written; wait for its end."))
    assert "A reply is being written" in face.text()
    assert face.model.tree is not None


def test_keys_do_not_reach_the_line_below() -> None:
    face = walking().type("xyzq ")
    assert face.model.input.text == ""
    assert not any(isinstance(effect, Copy) for effect in face.effects)


# --- following ----------------------------------------------------------------------------------


def test_every_change_of_the_story_is_looked_at_but_not_more_often_than_twice_a_second() -> None:
    face = walking().type("<up>")
    face.tick(TREE_TEXT_S)
    face.sent()
    for number in range(40, 60):
        face.says(reply_begins(number, turn=f"t{number}"), end(f"t{number}"))
    assert prompts(face) == ["/tree 22"]
    face.tick(TREE_REFRESH_S)
    assert prompts(face) == [], "one is under way"
    face.says(tree(focus=22)).tick(TREE_REFRESH_S)
    assert prompts(face) == ["/tree 22"], "it changed while the answer was on its way"
    face.says(tree(focus=22)).tick(10)
    assert prompts(face) == []
    assert at(face) == 22


def test_the_pieces_of_a_reply_ask_for_nothing() -> None:
    face = walking().says(reply_begins(31), end()).tick(1)
    face = walking()
    face.says(chunk("Word ", 0), chunk("by ", 5), chunk("word.", 8))
    face.tick(1)
    assert prompts(face) == []


def test_the_end_of_the_story_stays_chosen_while_it_is_where_one_is() -> None:
    """Until another line is chosen, and while a question about the chosen message is open."""
    grown = TreeNode(31, 3, "user", "I wait.", active=True, leaf=True)
    face = walking().says(tree(*NODES, grown, stands=31, focus=31))
    assert at(face) == 31
    face.type("d").says(tree(*NODES, grown))
    assert prompts(face.type("y")) == ["/delete 31"]
    face.type("d").says(tree())
    assert prompts(face.type("y")) == [], "what was asked about is gone"
    face = walking().type("<up>").says(tree(*NODES, grown, stands=31, focus=22))
    assert at(face) == 22
    face.type(".").says(tree())
    assert at(face) == 3


def test_a_chosen_message_that_is_gone_gives_way_to_the_focus() -> None:
    face = walking().type("<up>")
    face.says(ChatHistory("", HistoryMeta((), session="s1"))).tick(1)
    face.says(tree(*NODES[:3], focus=3))
    assert at(face) == 3


def test_after_a_lost_connection_it_is_asked_for_again() -> None:
    face = walking()
    face.link("lost", "No engine.").tick(20)
    assert prompts(face) == []
    face.online(session="s1", chosen=True).says(history(LINES)).tick(1)
    assert prompts(face) == ["/tree"]


def test_a_text_lost_with_the_connection_is_asked_for_again() -> None:
    face = walking().type("<up>")
    face.tick(TREE_TEXT_S)
    assert prompts(face) == ["/show 22"]
    face.link("lost", "No engine.").online(session="s1", chosen=True)
    face.says(history(LINES)).tick(1)
    assert "/show 22" in prompts(face)


def test_an_answer_that_never_comes_is_asked_for_again_at_the_next_change() -> None:
    face = playing().type("<f8>")
    face.sent()
    face.says(end()).tick(limits.SEND_TIMEOUT_S - 1)
    assert prompts(face) == []
    face.tick(1)
    assert prompts(face) == ["/tree"]


# --- what it looks like -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "size", [(80, 24), (40, 12), (200, 60)], ids=lambda size: f"{size[0]}x{size[1]}"
)
def test_the_tree_is_drawn_as_stored(size: tuple[int, int]) -> None:
    face = walking(*size).type("<up>")
    face.tick(1)
    face.says(text(22, "Steps on the stair. They stop behind the door, and somebody breathes there."))
    compare(f"tree-{size[0]}x{size[1]}", face)


def test_the_tree_in_ascii_and_without_colours() -> None:
    """The way, its end, the trash and the chosen line can be told apart by their marks alone."""
    compare("tree-ascii-80x24", walking(80, 24, theme="mono", utf8=False).type("<up>d"))


@pytest.mark.parametrize("size", [(80, 24), (40, 12), (200, 60)], ids=str)
def test_the_terminal_shows_the_tree_as_drawn(size: tuple[int, int]) -> None:
    face = walking(*size)
    painter = Painter(Capabilities(colors=256, utf8=True), face.model.theme.base)
    screen = Screen(*size)
    for keys in (
        "<up>",
        "<up>",
        "<home>",
        "<end>",
        "n",
        "x",
        "<escape>",
        "/",
        "s",
        "<escape>",
        "<escape>",
    ):
        face.type(keys)
        screen.feed(painter.paint(face.frame))
        assert screen.text == [row.text for row in face.frame.rows]


def test_a_step_costs_few_bytes() -> None:
    """Only what changes is sent: two lines, the text of the message and the keys."""
    face = walking()
    painter = Painter(Capabilities(colors=256, utf8=True), face.model.theme.base)
    painter.paint(face.frame)
    sizes = []
    for key in ("<up>", "<up>", "<up>", "<up>", "<down>", "<down>"):
        face.type(key)
        sizes.append(len(painter.paint(face.frame)))
    assert max(sizes) < 700


def test_hostile_words_stay_in_their_cells() -> None:
    evil = "\x1b]52;c;aGk=\x07\x1b[2J\u202eback"
    nodes = (TreeNode(1, 0, "assistant", evil, branches=(evil,), active=True, leaf=True),)
    face = playing().type("<f8>").says(tree(*nodes, stands=1, focus=1)).type("<home>")
    assert all(row.text.isprintable() for row in face.frame.rows)

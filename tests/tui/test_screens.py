"""Whole screens as text: a user's keys and an engine's events in, screens out.

The golden files hold each screen as text and then as letters for styles, so a change is readable in a
diff. ``FLOWER_UPDATE_GOLDEN=1 pytest tests/tui/test_screens.py`` writes them anew.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from itertools import pairwise

import pytest

from flower.protocol import messages
from flower.tui.term.diff import Capabilities, Painter
from tests.paths import GOLDEN
from tests.screen import Screen
from tests.tui_world import Face, chunk, end, reply_begins, user_line

SIZES = ((80, 24), (100, 30), (40, 12))

TALE = (
    (
        "assistant",
        "The tide has gone out further than you have *ever* seen it.\n\n“You came,” says the keeper.",
    ),
    ("user", "I ask her what became of the **Marigold**."),
    (
        "assistant",
        "# The wreck\n\nShe points with the lantern.\n\n- two masts, both broken\n- a bell that rings *by itself*\n\n"
        "> Do not go there at night.\n\n`low water: 21:40`",
    ),
)
RECALLED = (
    messages.RecallItem(
        "memory", "", "You promised the keeper to mend the second lamp before winter.", "alike"
    ),
    messages.RecallItem(
        "lore", "The Marigold", "A grain ship that ran aground in the year of the red tide.", "named"
    ),
)


def connecting(face: Face) -> None:
    """The very first frame."""


def checklist(face: Face) -> None:
    face.online()


def worlds_popup(face: Face) -> None:
    face.online().type("<enter>gl")


def story(face: Face) -> None:
    face.story(*TALE)
    face.says(messages.Recall("", messages.RecallMeta("t0", RECALLED)))
    face.tick(60)


def waiting(face: Face) -> None:
    face.story(*TALE).type("I wade out to it.<enter>")
    face.tick(60)


def streaming(face: Face) -> None:
    face.story(*TALE).type("I wade out to it.<enter>")
    face.says(user_line("I wade out to it.", "n-1", 4), reply_begins(5))
    face.tick(60)
    face.says(chunk("The water is colder than ", 0, rate=31.0)).type("and then")
    face.tick(2)


def stopped(face: Face) -> None:
    streaming(face)
    face.says(end(reason="stopped", tokens=1234, cost=0.0021, seconds=3.2, tokens_per_second=31.0))
    face.tick(60)


def slash_menu(face: Face) -> None:
    face.story(*TALE).type("/se<down>")
    face.tick(60)


def palette(face: Face) -> None:
    face.story(*TALE).type("<ctrl+p>se")


def models(face: Face) -> None:
    face.story(*TALE).type("<f4>")


def sessions(face: Face) -> None:
    face.story(*TALE).type("<f6>")


def keys(face: Face) -> None:
    face.story(*TALE).type("?")


def lost(face: Face) -> None:
    face.story(*TALE).link(
        "lost", "No engine answers at ws://127.0.0.1:8000/ws/rpc; trying again every second."
    )
    face.type("Nothing typed is lost.<enter>Not even this")


def error(face: Face) -> None:
    face.story(*TALE).says(
        messages.ErrorEvent("gpt-4o-mini: the key is wrong; set openai_api_key in config.yaml.")
    )


def searching(face: Face) -> None:
    face.story(*TALE).type("<ctrl+f>lantern<enter>")
    face.tick(60)


def choosing(face: Face) -> None:
    face.story(*TALE).type("<shift+tab><up>")
    face.tick(60)


def long_input(face: Face) -> None:
    face.story(*TALE).paste(
        "One line.\nAnother line that is long enough to need more than a row of the screen, " * 3
    )
    face.tick(60)


def long_news(face: Face) -> None:
    """News that need several rows are there whole, beside nothing else."""
    face.story(*TALE).says(
        messages.SystemUpdate(
            "✓ glass-harbour: 1 of 3 lore passages could not be read, line 14: write `title:` before the "
            "text; the other passages are in use."
        )
    )


def quick_replies(face: Face) -> None:
    ready = (
        messages.QuickReply("Look around", "I look around."),
        messages.QuickReply("Whisper", 'I whisper: "{{input}}"'),
        messages.QuickReply("Luck", "/roll d20"),
    )
    face.online(session="s1", chosen=True, quick_replies=ready).type("softly<alt+2>")
    face.tick(60)


def hostile(face: Face) -> None:
    """What an engine must not be able to do: nothing but printable text is in the cells."""
    evil = "\x1b]52;c;aGk=\x07\x1b[2J\x9b31mred\u202eback\u200bward\x00 \x07bell"
    face.online(session="s1", chosen=True, available_worlds=(messages.Named("ember", evil),))
    face.says(messages.SystemUpdate(evil), messages.ErrorEvent(evil))
    face.says(
        reply_begins(1),
        chunk(evil, 0),
        messages.Recall("", messages.RecallMeta("t1", (messages.RecallItem(evil, evil, evil),))),
    )
    face.tick(60)


def playing(face: Face) -> None:
    """Dice, a state sheet, a reply with variants that is chosen."""
    sheet = (messages.SheetRow("place", "the wreck"), messages.SheetRow("hp", "7 of 10"))
    items = (
        messages.HistoryItem("user", "I climb the mast.", message=1),
        messages.HistoryItem("system", "Roll 1d20+2 vs 14: [13] + 2 = 15, success", message=2),
        messages.HistoryItem("assistant", "Salt and rust; it holds.", message=3, variant=2, variants=3),
    )
    face.online(session="s1", chosen=True)
    face.says(messages.ChatHistory("", messages.HistoryMeta(items, session="s1", sheet=sheet)))
    face.type("<shift+tab>").tick(60)


def found(face: Face) -> None:
    hits = tuple(
        messages.FoundMessage(
            "s1", "The lamp", number, "user", f"… mend the second lamp {number} times"
        )
        for number in (3, 9)
    )
    face.story(*TALE).says(messages.SystemUpdate("Found:\n1\n2", messages.State(found=hits)))
    face.tick(60)


STATES: tuple[Callable[[Face], None], ...] = (
    connecting, checklist, worlds_popup, story, waiting, streaming, stopped, slash_menu, palette, models, sessions,
    keys, lost, error, searching, choosing, long_input, long_news, quick_replies, hostile,
    playing, found,
)  # fmt: skip


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
@pytest.mark.parametrize("state", STATES, ids=lambda state: state.__name__)
def test_screen_is_as_stored(state: Callable[[Face], None], size: tuple[int, int]) -> None:
    face = Face(*size)
    state(face)
    compare(f"{state.__name__}-{size[0]}x{size[1]}", face)


def test_screen_in_ascii_and_without_colours() -> None:
    """A terminal without UTF-8 and colours gets letters only, its marks included."""
    face = Face(80, 24, theme="mono", utf8=False)
    face.story(("user", "Hello."), ("assistant", "Plain words."))
    face.type("<f2>")
    compare("ascii-80x24", face)


def test_a_very_wide_screen_keeps_lines_readable() -> None:
    face = Face(200, 60)
    story(face)
    compare("story-200x60", face)


@pytest.mark.parametrize("size", [(39, 12), (40, 11), (20, 5), (1, 1)], ids=str)
def test_too_small_a_screen_says_so(size: tuple[int, int]) -> None:
    face = Face(*size)
    story(face)
    assert len(face.frame.rows) == size[1]
    assert face.frame.rows[0].text == "Flower needs".ljust(size[0])[: size[0]]


def test_a_resize_gives_the_same_screen_as_starting_at_that_size() -> None:
    for size in SIZES:
        grown = Face(120, 40)
        story(grown)
        grown.resize(*size)
        grown.tick()
        fresh = Face(*size)
        story(fresh)
        assert grown.text() == fresh.text()


def test_unchanged_rows_are_the_same_objects_while_a_reply_streams() -> None:
    """The diff finds what to leave alone by identity."""
    face = Face(100, 30)
    streaming(face)
    before = face.frame.rows
    face.says(chunk("the ", 25, rate=31.0))
    changed = [
        y for y, (old, new) in enumerate(zip(before, face.frame.rows, strict=True)) if old is not new
    ]
    assert len(changed) == 1


def test_following_a_stream_moves_several_rows_at_once() -> None:
    """Between two moves the text only grows at its end; so it can be read, and costs few bytes."""
    face = Face(100, 30)
    face.story(*TALE, *TALE, *TALE).says(reply_begins(10))
    tops = []
    for number in range(400):
        face.says(chunk("word ", number * 5))
        tops.append(face.frame.rows[1].text)
    moves = sum(one != other for one, other in pairwise(tops))
    assert 0 < moves <= 400 * 5 / 60 / 4


@pytest.mark.parametrize("margins", [False, True], ids=["plain", "margins"])
def test_the_terminal_shows_every_frame_as_drawn(margins: bool) -> None:
    """Through a whole session: each frame's bytes turn the screen into exactly that frame."""
    caps = Capabilities(colors=256, utf8=True, margins=margins)
    for size in SIZES:
        face = Face(*size)
        painter, screen = Painter(caps, face.model.theme.base), Screen(*size)
        for state in STATES[1:]:
            state(face)
            face.type("<escape><escape>")
            for step in ("<pageup>", "<shift+up>", "<pagedown>", "x", "<f2>", "<escape>", "<end>"):
                face.type(step)
                screen.feed(painter.paint(face.frame))
                assert screen.text == [row.text for row in face.frame.rows]


def compare(name: str, face: Face) -> None:
    """Compares the screen with its golden file, or writes it when asked to."""
    path = GOLDEN / f"{name}.txt"
    screen = face.golden()
    if os.environ.get("FLOWER_UPDATE_GOLDEN"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(screen, encoding="utf-8")
    assert path.exists(), (
        f"no golden screen {path.name}; run with FLOWER_UPDATE_GOLDEN=1 and look at it"
    )
    assert screen == path.read_text(encoding="utf-8")


def test_a_long_answer_moves_with_the_first_key() -> None:
    """Its rows move, as nothing in it can be chosen: no key is pressed in vain on the way to the end or back."""
    face = Face().online(chosen=True).story(*TALE)
    face.says(messages.SystemUpdate("\n".join(f"Row {number} of it." for number in range(60))))
    assert "Row 0 " in face.text()
    face.type("<down>")
    assert "Row 0 " not in face.text()
    face.type("<up><pagedown>")
    assert "Row 0 " not in face.text()
    face.type("<end><end><down>")
    assert "60/60" in face.text()
    face.type("<up>")
    assert "59/60" in face.text()
    face.type("<home>")
    assert "Row 0 " in face.text()

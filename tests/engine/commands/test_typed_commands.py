"""What Enter does with a command line: what was typed out is run, what was not is shown first."""

from __future__ import annotations

import pytest

from flower.client.events import Send
from flower.engine.commands import catalogue
from flower.protocol.messages import CommandOption
from flower.tui.state import popup_items
from tests.tui.test_screens import TALE
from tests.tui_world import Face


def engine_face() -> Face:
    face = Face().story(*TALE)
    face.online(session="s1", chosen=True, commands=catalogue.OPTIONS)
    face.sent()
    return face


@pytest.mark.parametrize("option", catalogue.OPTIONS, ids=lambda option: option.name)
def test_a_command_typed_out_is_that_very_command(option: CommandOption) -> None:
    """It is sent, or it asks for what it needs; another one is never run."""
    face = engine_face().type(f"{option.name}<enter>")
    prompts = [send.prompt for send in face.sent()]
    sent = [
        prompt for prompt in prompts if not prompt.startswith("/library ")
    ]  # for the list it asks with
    assert sent in ([option.name], [])
    if not sent:
        asks = face.model.popup is not None or face.model.selected is not None
        local = option.name in ("/quit", "/find", "/copy", "/keys", "/theme", "/problems")
        assert asks or local or face.model.input.text == f"{option.name} "


@pytest.mark.parametrize("line", ["/sync", "/history 5"])
def test_plumbing_can_be_typed_too(line: str) -> None:
    assert engine_face().type(f"{line}<enter>").sent() == [Send(line)]


def test_the_only_command_that_begins_so_is_run() -> None:
    assert engine_face().type("/session n<enter>").sent() == [Send("/session new")]


@pytest.mark.parametrize("line", ["/session", "/se", "/nw"])
def test_a_guess_is_marked_and_not_run(line: str) -> None:
    """Somebody who typed half a command must not find a new story begun."""
    face = engine_face().type(f"{line}<enter>")
    assert face.sent() == []
    assert face.model.input.text == line
    assert face.model.menu >= 0
    assert "Enter takes" in face.text()


def test_what_fits_no_command_is_left_to_the_engine_to_refuse() -> None:
    assert engine_face().type("/zzqq<enter>").sent() == [Send("/zzqq")]


def test_the_palette_finds_commands_by_their_heading() -> None:
    """Who looks for dice need not know that they are called checks."""
    face = engine_face().type("<ctrl+p>dice")
    found = [item.value for item in popup_items.items(face.model)]
    assert {option.name for option in catalogue.OPTIONS if option.group == "Dice"} <= set(found)


@pytest.mark.parametrize(
    ("typed", "sent", "told"),
    [
        ("//usr/bin is cold", "//usr/bin is cold", "/usr/bin is cold"),
        ("// aside", "// aside", "/ aside"),
        ("/usr/bin\n/usr/lib", "//usr/bin\n/usr/lib", "/usr/bin\n/usr/lib"),
        ("I say /me", "I say /me", "I say /me"),
    ],
)
def test_a_line_that_begins_with_a_slash_can_be_said(typed: str, sent: str, told: str) -> None:
    face = engine_face().paste(typed)
    assert face.model.menu == -1
    face.type("<enter>")
    assert [send.prompt for send in face.sent()] == [sent]
    assert face.model.story.messages[-1].text == told

"""The greeting of a story that has not begun is changed with the arrows, and only that."""

from __future__ import annotations

from flower.protocol.messages import ChatHistory, HistoryItem, HistoryMeta
from flower.tui.term.inputs import Key
from tests.tui_world import Face


def story(*items: HistoryItem) -> Face:
    face = Face().online(session="s1", chosen=True)
    face.says(ChatHistory("", HistoryMeta(items, session="s1")))
    face.sent()
    return face


GREETING = HistoryItem("assistant", "Fog.", 7, variant=1, variants=3)


def test_the_arrows_change_the_greeting() -> None:
    """The status line says so; what comes back takes its place."""
    face = story(GREETING)
    face.tick(5.0)  # the engine's greeting is gone
    assert "other greetings (1/3)" in face.text()
    face.put(Key("right"), Key("left"))
    assert [sent.prompt for sent in face.sent()] == ["/variant next 7", "/variant previous 7"]
    other = HistoryItem("assistant", "Rain.", 8, variant=2, variants=3)
    face.says(ChatHistory("", HistoryMeta((other,), session="s1")))
    assert "Rain." in face.text()
    face.put(Key("right"))
    assert [sent.prompt for sent in face.sent()] == ["/variant next 8"]


def test_the_arrows_are_the_line_s_once_something_is_typed() -> None:
    """Nor do they change a story that has begun, one without other greetings, or one out of reach."""
    face = story(GREETING)
    face.type("ab").put(Key("left"))
    assert face.model.input.cursor == 1
    begun = story(GREETING, HistoryItem("user", "Hello.", 8))
    alone = story(HistoryItem("assistant", "Fog.", 7))
    gone = story(GREETING).link("lost")
    for other in (begun, alone, gone):
        other.put(Key("right"))
        assert other.sent() == []
    assert face.sent() == []

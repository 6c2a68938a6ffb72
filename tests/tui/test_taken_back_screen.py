"""A client shows what a reply is after some of it was taken back."""

from __future__ import annotations

import pytest

from flower.engine.sessions.outbox import Outbox
from flower.protocol import codec
from flower.protocol.messages import ChatChunk, ChunkMeta
from flower.tui.state import transcript
from flower.tui.state.transcript import Transcript


def chunk(text: str, offset: int, *, replace: bool = False) -> ChatChunk:
    return ChatChunk(text, ChunkMeta("m", 1.0, "w", "t-1", offset, replace))


def test_the_reply_is_what_came_after_it() -> None:
    """Text that was taken back is gone; a gap before it asks for the story anew."""
    story = transcript.add_piece(Transcript(), "t-1", 0, "Let me think.", "m")
    story = transcript.take_back(story, "t-1", 0)
    story = transcript.add_piece(story, "t-1", 0, "The gate opens.", "m")
    assert story.messages[-1].text == "The gate opens."
    with pytest.raises(transcript.Gap):
        transcript.take_back(story, "t-1", 99)


async def test_a_slow_client_gets_it_in_order() -> None:
    """Chunks are merged around it, never over it."""
    outbox = Outbox()
    for event in (
        chunk("Let me ", 0),
        chunk("think.", 7),
        chunk("", 0, replace=True),
        chunk("The ", 0),
        chunk("gate", 4),
    ):
        outbox.put_nowait(event)
    outbox.close()
    got = [await outbox.get(), await outbox.get(), await outbox.get()]
    assert got == [chunk("Let me think.", 0), chunk("The gate", 0, replace=True), None]


def test_other_chunks_look_as_before() -> None:
    """A client that does not know it sees nothing new in ordinary chunks."""
    assert "replace" not in codec.encode(chunk("The gate", 0))

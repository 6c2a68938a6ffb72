"""What a model was sent can be read word for word, in pages or as a file."""

from __future__ import annotations

from pathlib import Path

import trio.testing
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock

from flower.engine.prompt.sent import PAGE_CHARS, SentPrompt, page_of, text_of
from flower.engine.provider.base import PromptMessage
from flower.protocol.messages import ErrorEvent
from tests.engine_world import engine_world


async def test_the_last_prompt_is_shown_word_for_word_and_written_to_a_file(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    async with engine_world(tmp_path / "db") as world:
        face = await world.playing()
        await face.say("/why full")
        await trio.testing.wait_all_tasks_blocked()
        assert "No prompt has been sent" in face.of(ErrorEvent)[-1].content
        await face.say_and_wait("I ring the bell.")
        await face.say("/why full")
        await trio.testing.wait_all_tasks_blocked()
        for message in world.provider.completions[-1].messages:
            assert f"--- {message.role} ---\n{message.content}" in face.notice
        await face.say("/why full file")
        await trio.testing.wait_all_tasks_blocked()
        (file,) = (tmp_path / "exports").iterdir()
        assert "I ring the bell." in file.read_text()
        assert str(file) in face.notice


async def test_a_long_prompt_comes_in_pages(autojump_clock: MockClock, tmp_path: Path) -> None:
    async with engine_world(tmp_path / "db") as world:
        face = await world.playing()
        for _ in range(4):
            await face.say_and_wait("word " * 800)
        await face.say("/why full")
        await trio.testing.wait_all_tasks_blocked()
        assert "(page 1 of " in face.notice
        await face.say("/why full 2")
        await trio.testing.wait_all_tasks_blocked()
        assert "(page 2 of " in face.notice
        assert len(face.notice) < PAGE_CHARS + 200


@given(st.text(max_size=40).map(lambda text: text * 700))
def test_pages_put_together_are_the_text(text: str) -> None:
    _, count = page_of(text, 1)
    assert "".join(page_of(text, number)[0] for number in range(1, count + 1)) == text


def test_every_shape_of_a_body_is_read() -> None:
    def shown(body: dict[str, object]) -> str:
        return text_of(SentPrompt(7, "x/y", (), body))

    chat = shown({"model": "y", "messages": [{"role": "user", "content": "Hi."}], "temperature": 1})
    assert '{"model": "y", "temperature": 1}' in chat
    assert "--- user ---\nHi." in chat
    blocks = {"role": "user", "content": [{"type": "text", "text": "Ho."}]}
    claude = shown({"system": [{"type": "text", "text": "Be."}], "messages": [blocks]})
    assert "--- system ---\nBe.\n\n--- user ---\nHo." in claude
    gemini = shown(
        {
            "systemInstruction": {"parts": [{"text": "Be."}]},
            "contents": [{"role": "model", "parts": [{"text": "Ho."}]}],
        }
    )
    assert "--- system ---\nBe.\n\n--- model ---\nHo." in gemini
    assert "--- prompt ---\n<s>Hi" in shown({"prompt": "<s>Hi"})
    offline = text_of(SentPrompt(7, "offline/narrator", (PromptMessage("user", "Hi."),)))
    assert "Nothing was sent anywhere" in offline
    assert "--- user ---\nHi." in offline

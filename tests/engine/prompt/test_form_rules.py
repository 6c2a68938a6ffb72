"""Small rules of a prompt in other forms, one by one: as pages to read, as a story that goes on, as a summary."""

from __future__ import annotations

from typing import Any

import pytest

from flower.engine.prompt.assemble import OPENING, PLAYERS_WORDS, PromptLine
from flower.engine.prompt.plain_text import as_story
from flower.engine.prompt.sent import PAGE_CHARS, SentPrompt, page_of, text_of
from flower.engine.prompt.summary import (
    EXTRACT_CHARS,
    LINE_CHARS,
    TASK,
    extract,
    lines_to_cover,
    summary_prompt,
)
from flower.engine.provider.base import PromptMessage
from flower.engine.token_counter import MESSAGE_TOKENS
from tests.engine.prompt.test_window_rules import COUNTER


@pytest.mark.parametrize(
    ("text", "pages"),
    [
        ("", [""]), ("a\nb", ["a\nb"]), ("a" * (PAGE_CHARS - 2) + "\nb", ["a" * (PAGE_CHARS - 2) + "\nb"]),
        ("a" * PAGE_CHARS + "\nb", ["a" * PAGE_CHARS, "\nb"]),
        ("a" * (PAGE_CHARS - 1) + "\nb", ["a" * (PAGE_CHARS - 1) + "\n", "b"]),
        ("a" * (PAGE_CHARS // 2) + "\n" + "b" * PAGE_CHARS, ["a" * (PAGE_CHARS // 2) + "\n", "b" * PAGE_CHARS]),
        ("a" * (PAGE_CHARS // 2 - 1) + "\n" + "b" * PAGE_CHARS,
         ["a" * (PAGE_CHARS // 2 - 1) + "\n" + "b" * (PAGE_CHARS // 2), "b" * (PAGE_CHARS // 2)]),
        ("a" * PAGE_CHARS + "b" * (PAGE_CHARS // 2) + "\n" + "c" * PAGE_CHARS,
         ["a" * PAGE_CHARS, "b" * (PAGE_CHARS // 2) + "\n", "c" * PAGE_CHARS]),
        ("a" * PAGE_CHARS + "b" * 9 + "\n" + "c" * PAGE_CHARS,
         ["a" * PAGE_CHARS, "b" * 9 + "\n" + "c" * (PAGE_CHARS - 10), "c" * 10]),
    ],
)  # fmt: skip
def test_a_page_ends_with_the_last_line_that_ends_in_its_second_half(
    text: str, pages: list[str]
) -> None:
    count = page_of(text, 1)[1]
    assert [page_of(text, number)[0] for number in range(1, count + 1)] == pages


def test_a_request_that_is_no_messages_is_shown_as_it_is() -> None:
    def parts(body: dict[str, object]) -> list[str]:
        return text_of(SentPrompt(7, "m", (), body)).split("\n\n")[1:]

    assert parts({"messages": ["Hi", 7]}) == ["--- messages ---\nHi", "--- messages ---\n7"]
    assert parts({"messages": {"content": "Hi"}}) == ["--- messages ---\nHi"]
    assert parts({"contents": [{"role": "model", "parts": [{"text": "a"}, {"text": "b"}]}]}) == [
        "--- model ---\nab"
    ]
    assert parts({"messages": [{"role": "user", "content": None}]}) == ["--- user ---\n"]
    assert parts({"messages": [{"role": "user", "content": {"x": 1}}]}) == ["--- user ---\n"]
    assert parts({"system": "Be.", "prompt": "Hi", "contents": []}) == [
        "--- system ---\nBe.",
        "--- prompt ---\nHi",
    ]
    assert parts({}) == []


@pytest.mark.parametrize(("last", "ends"), [("assistant", ""), ("user", "\n\n"), ("system", "\n\n")])
def test_a_story_as_text_is_open_behind_a_reply(last: Any, ends: str) -> None:
    said = [PromptMessage("user", "Go."), PromptMessage(last, "On.")]
    assert as_story("", said).endswith(f".{ends}")
    assert as_story("", said).endswith("\n\n") == bool(ends)
    begun = [PromptMessage("user", OPENING), PromptMessage("assistant", OPENING)]
    assert as_story("", begun) == OPENING  # only the player's is none of the story


def test_notes_before_a_line_are_told_as_facts() -> None:
    def told(notes: str) -> str:
        return as_story(
            "",
            [PromptMessage("user", f"{notes}{PLAYERS_WORDS}\n\nGo."), PromptMessage("assistant", "x")],
        )

    assert told("") == "> Go.\n\nx"
    assert told("- Known to this character alone: She lied.\n\n") == "She lied.\n\n> Go.\n\nx"
    assert told("- From the lore: It: rings.\n\n") == "It: rings.\n\n> Go.\n\nx"
    assert told("- From the lore (A: b): It rings.\n\n") == "It rings.\n\n> Go.\n\nx"
    assert (
        told("- From the loremaster: It rings.\n\n") == "- From the loremaster: It rings.\n\n> Go.\n\nx"
    )


@pytest.mark.parametrize(
    ("sizes", "covered"),
    [([100] * 7, 0), ([100] * 8, 3), ([10, 10, 990], 3), ([500, 250, 250], 1), ([500, 250, 251], 2),
     ([749], 0), ([750], 1)],
)  # fmt: skip
def test_a_summary_covers_what_is_above_half_of_the_room(sizes: list[int], covered: int) -> None:
    lines = [PromptLine(n, "user", "x" * (size - MESSAGE_TOKENS)) for n, size in enumerate(sizes)]
    assert lines_to_cover(lines, 1_000, COUNTER) == covered


def test_a_summary_is_asked_for_in_the_players_words_or_ours() -> None:
    said = [
        PromptLine(1, "user", "x" * 2_000),
        PromptLine(2, "assistant", "Rain."),
        PromptLine(3, "system", "12."),
    ]
    system, user = summary_prompt("", said)
    assert user.content.startswith(
        f"What happened since:\nThe player: {'x' * LINE_CHARS}\n\nThe narrator: Rain."
    )
    assert user.content.endswith("\n\nThe narrator: 12.\n\nWrite the whole record anew.")
    assert (system.content, user.role) == (TASK, "user")
    asked = summary_prompt("Before.", said, "Only names. ")[0].content
    assert "played. Only names. Write only" in asked
    assert summary_prompt("Before.", said)[1].content.startswith(
        "The record so far:\nBefore.\n\nWhat happened"
    )


@pytest.mark.parametrize("more", [0, 1])
def test_an_extract_has_so_many_letters(more: int) -> None:
    line_of_it = "x" * 99
    text = "\n".join([line_of_it] * (EXTRACT_CHARS // 100)) + "y" * (1 + more)
    found = extract(text, [])
    assert len(text) == EXTRACT_CHARS + more
    assert (found == text) is not bool(more)
    assert found.startswith("…x" if more else "x")
    assert (
        extract("", [PromptLine(1, "assistant", ""), PromptLine(2, "system", "It rings. Twice.")])
        == "It rings."
    )

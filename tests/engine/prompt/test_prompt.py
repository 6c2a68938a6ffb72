"""Prompts: within the budget, stable in front, alternating, and the player's line is always in."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from flower.engine.prompt.assemble import OPENING, Assembled, PromptLine, Section, assemble, shorten
from flower.engine.token_counter import TokenCounter

COUNTER = TokenCounter()
SECTIONS = (
    Section("base rules", "system_rules.yaml", "Tell the story in the second person. " * 4, 90),
    Section("world", "harbour", "A harbour town between two tides. " * 4, 70),
    Section("character", "mara", "Mara keeps the lamp and her own counsel. " * 4, 60),
)


def story(turns: int, words: int = 30) -> list[PromptLine]:
    """A greeting and so many exchanges, the last one unanswered."""
    lines = [PromptLine(1, "assistant", "The tide is out.")]
    for turn in range(turns):
        lines.append(PromptLine(2 + 2 * turn, "user", f"Line {turn}: I walk on."))
        if turn < turns - 1:
            lines.append(
                PromptLine(3 + 2 * turn, "assistant", f"Reply {turn}. " + "The water moves. " * words)
            )
    return lines


def prompt(lines: list[PromptLine], budget: int = 2000, start: int | None = None) -> Assembled:
    return assemble(SECTIONS, lines, budget=budget, counter=COUNTER, window_start=start)


def flat(assembled: Assembled) -> str:
    return "\x00".join(f"{message.role}:{message.content}" for message in assembled.messages)


def shared(older: str, newer: str) -> float:
    """Share of the older text that the newer one begins with."""
    count = next(
        (i for i, (a, b) in enumerate(zip(older, newer, strict=False)) if a != b),
        min(len(older), len(newer)),
    )
    return count / len(older)


def test_the_first_message_is_the_system_and_then_they_alternate() -> None:
    messages = prompt(story(4)).messages
    assert messages[0].role == "system"
    assert [m.role for m in messages[1:]] == ["user", "assistant"] * 4 + ["user"]
    assert messages[1].content == OPENING
    assert messages[-1].content == "Line 3: I walk on."


def test_lines_without_a_reply_are_merged() -> None:
    lines = [
        PromptLine(1, "user", "One."),
        PromptLine(2, "assistant", ""),
        PromptLine(3, "user", "Two."),
    ]
    messages = prompt(lines).messages
    assert [(m.role, m.content) for m in messages[1:]] == [("user", "One.\n\nTwo.")]


def test_recalled_text_goes_before_the_line_it_was_recalled_for() -> None:
    lines = [PromptLine(1, "user", "Who rang the bell?", recalled="[notes]")]
    assert prompt(lines).messages[-1].content == "[notes]\n\nWho rang the bell?"


@given(
    st.lists(st.integers(1, 3000), min_size=1, max_size=40),
    st.integers(300, 8000),
    st.integers(0, 4000),
)
def test_a_prompt_never_exceeds_its_budget(sizes: list[int], budget: int, recalled: int) -> None:
    lines = [
        PromptLine(
            i,
            "user" if i % 2 == 0 else "assistant",
            "word " * size,
            "note " * (recalled // 10) if i % 2 == 0 else "",
            "stands " * (recalled // 20) if i % 4 == 0 else "",
        )
        for i, size in enumerate(sizes)
    ]
    if lines[-1].role != "user":
        lines.append(PromptLine(len(lines), "user", "And then?"))
    assembled = prompt(lines, budget)
    assert assembled.messages[-1].role == "user"
    assert "word" in assembled.messages[-1].content or "And then?" in assembled.messages[-1].content
    assert assembled.tokens <= budget


def test_consecutive_prompts_share_almost_everything_over_200_turns() -> None:
    """At least 95 % of the older prompt is the start of the newer one, except where it was trimmed."""
    start: int | None = None
    older = ""
    trims = 0
    for turns in range(1, 201):
        assembled = prompt(story(turns), 3000, start)
        newer = flat(assembled)
        if start is not None and assembled.window_start != start:
            trims += 1
        elif older:
            assert shared(older, newer) >= 0.95
        start, older = assembled.window_start, newer
    assert 1 <= trims <= 40


def test_one_long_message_is_shortened_and_does_not_end_the_history() -> None:
    lines = story(6)
    lines[4] = PromptLine(lines[4].id, "user", "very " * 9000)
    assembled = prompt(lines, 2500)
    text = flat(assembled)
    assert "[…]" in text
    assert "Line 0" in text
    assert assembled.tokens <= 2500


def test_the_least_important_section_is_shortened_first_and_named() -> None:
    sections = (*SECTIONS[:2], Section("character", "mara", "Mara remembers everything. " * 200, 10))
    assembled = assemble(sections, story(1), budget=600, counter=COUNTER)
    notes = {entry.section: entry.note for entry in assembled.manifest}
    assert notes["character"] == "shortened"
    assert notes["base rules"] == notes["world"] == ""


def test_the_manifest_accounts_for_every_section() -> None:
    assembled = prompt(story(3))
    assert [entry.section for entry in assembled.manifest] == [
        "base rules",
        "world",
        "character",
        "history",
    ]
    assert all(entry.tokens > 0 for entry in assembled.manifest)


@given(st.text(max_size=3000), st.integers(10, 400))
def test_shortening_keeps_both_ends_and_the_limit(text: str, tokens: int) -> None:
    short = shorten(text, tokens, COUNTER)
    assert COUNTER.count(short) <= max(tokens, 10)
    if short != text:
        assert "[…]" in short
        assert text.startswith(short.split("\n[…]\n")[0])


def test_counting_knows_scripts_and_learns_from_reports() -> None:
    assert COUNTER.count("") == 0
    assert COUNTER.count("波" * 30) == 20
    assert COUNTER.count("a" * 335) == 100
    learned = COUNTER
    for _ in range(12):
        learned = learned.calibrated(learned.count("a" * 3350), 1300)
    assert abs(learned.count("a" * 3350) - 1300) < 20
    assert COUNTER.calibrated(10, 4000) == COUNTER, "a tiny prompt says nothing"

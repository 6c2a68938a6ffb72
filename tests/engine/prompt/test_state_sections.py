"""Which sections about the state go with a line, and which are in view already."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from flower.engine.prompt.assemble import PromptLine, Section, assemble
from flower.engine.prompt.sections import REPEATED_AFTER_LINES, TAKEN_BACK, due, section_key
from flower.engine.token_counter import TokenCounter

NAMES = ("scene", "sheet", "clocks", "note")
SOURCES = {name: source for name, source, _, _ in TAKEN_BACK}


def sections(**texts: str) -> tuple[Section, ...]:
    return tuple(Section(name, SOURCES[name], text, 50) for name, text in texts.items() if text)


STANDINGS = st.lists(
    st.fixed_dictionaries({name: st.sampled_from(["", "one", "two"]) for name in NAMES}), max_size=40
)


@given(STANDINGS, st.integers(1, 10))
def test_the_narrator_can_always_see_how_things_stand(
    states: list[dict[str, str]], note_every: int
) -> None:
    """The last text told of a thing is what is true of it, and it was told not too long ago."""
    earlier: list[dict[str, str]] = []
    taken_back = {text for _, _, text, _ in TAKEN_BACK}
    for texts in states:
        sections_now = sections(**texts)
        new, known = due(sections_now, earlier, note_every)
        assert not set(new) & set(known)
        earlier.append({section_key(section): section.text for section in new})
        seen: dict[str, tuple[str, int]] = {}
        for ago, line in enumerate(reversed(earlier)):
            for key, text in line.items():
                seen.setdefault(key, (text, ago))
        for section in sections_now:
            text, ago = seen[section_key(section)]
            most = note_every if section.name == "note" else REPEATED_AFTER_LINES
            assert text == section.text
            assert ago < most
        gone = set(seen) - {section_key(section) for section in sections_now}
        assert all(seen[key][0] in taken_back for key in gone)


@given(STANDINGS)
def test_what_was_just_told_is_not_told_with_the_next_line(states: list[dict[str, str]]) -> None:
    earlier: list[dict[str, str]] = []
    for texts in states:
        sections_now = sections(**texts)
        earlier.append(
            {section_key(section): section.text for section in due(sections_now, earlier, 3)[0]}
        )
        new, known = due(sections_now, earlier, 3)
        assert not {section_key(section) for section in new} & set(earlier[-1])
        assert set(known) | set(new) == set(sections_now)


def test_what_was_told_with_its_middle_cut_out_is_not_told_with_every_line() -> None:
    sheet = Section("sheet", "/state", "How things stand: " + "a coin, " * 2000 + "a key.", 30)
    fitted = assemble(
        (), [PromptLine(1, "user", "On.")], budget=600, counter=TokenCounter(), tail=(sheet,)
    ).tail
    assert fitted[0].text != sheet.text
    earlier = {section_key(section): section.text for section in fitted}
    assert due((sheet,), [earlier]) == ((), (sheet,))
    changed = Section("sheet", "/state", "How things stand: a key.", 30)
    assert due((changed,), [earlier]) == ((changed,), ())


def test_what_is_about_one_line_is_told_with_every_such_line() -> None:
    speaker = Section("speaker", "/cast", "Mara speaks.", 80)
    assert due((speaker,), [{"speaker /cast": "Mara speaks."}]) == ((speaker,), ())
    assert due((), [{"speaker /cast": "Mara speaks."}]) == ((), ())

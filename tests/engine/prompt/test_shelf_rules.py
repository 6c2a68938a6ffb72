"""Small rules of what lorebooks and the offline narrator are told of a moment, one by one."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from flower.engine.game.clocks import Clock, Now
from flower.engine.game.state import StoryState
from flower.engine.game.steering import Note, Steering
from flower.engine.lorebook.book import Book, Position
from flower.engine.lorebook.outcome import Cause, Fired, Place
from flower.engine.lorebook.rules import EntryId
from flower.engine.lorebook.situation import NOTHING
from flower.engine.prompt import (
    books_at_hand,
    bookshelf,
    context,
    cue,
    macro_values,
    model,
    record,
)
from flower.engine.prompt.bookshelf import FILE_BOOK, Bookshelf, Moment
from flower.engine.provider.text_prompts import SERVER, Template
from flower.engine.recall.base import Hit, book_scope, cast_scope, lore_scope
from flower.engine.store.extra import MessageExtra
from flower.engine.store.library import presets
from flower.engine.store.states import CurrentState
from flower.engine.store.stories import Message
from flower.engine.token_counter import TokenCounter
from flower.settings.samplers import TEMPLATE
from tests.engine.prompt.test_macros import VALUES
from tests.engine_world import engine_world


def line(number: int, role: str = "user", content: str = "words", **extra: object) -> Message:
    return Message(
        number,
        "s",
        None,
        role,
        content,
        "complete",
        "",
        None,
        0.0,
        MessageExtra(**extra),  # type: ignore[arg-type]
    )


# --- lorebooks ----------------------------------------------------------------------------------


def test_books_are_scanned_one_at_a_time() -> None:
    assert Bookshelf()._one.total_tokens == 1


def test_a_line_is_told_with_who_speaks() -> None:
    moment = Moment(path=(), count=0, values=VALUES, names={"olaf": "Olaf"})
    said = [
        line(1, "user"),
        line(2, "system"),
        line(3, "assistant"),
        line(4, "assistant", speaker="olaf"),
        line(5, "assistant", speaker="olaf", name="Old Olaf"),
        line(6, "assistant", speaker="nobody"),
    ]
    speakers = [bookshelf._speaker(one, moment) for one in said]
    assert speakers == [VALUES.user, "System", VALUES.char, "Olaf", "Old Olaf", VALUES.char]


def test_hidden_and_empty_lines_are_not_scanned() -> None:
    path = [line(1), line(2, "assistant"), line(3, hidden=True), line(4, "assistant", "")]
    found = bookshelf._situation(Moment(path=path, count=9, values=VALUES))
    assert (len(found.messages), found.count, found.replies) == (2, 9, 1)
    assert bookshelf._situation(Moment(path=path, count=1, values=VALUES)).count == 2


def test_lasting_effects_are_those_kept_before_the_last_line() -> None:
    kept = line(1, lore_timed=NOTHING)
    assert bookshelf.timed_before([kept, line(2), line(3)]) == NOTHING
    assert bookshelf.timed_before([line(1), kept]) is None
    assert bookshelf.timed_before([]) is None


@pytest.mark.parametrize(
    ("name", "known", "found"),
    [("Bells", {}, "Bells"), ("", {}, "lorebook"), ("Bells", {"Bells": 1}, "Bells (7)")],
)
def test_each_book_has_a_name_of_its_own(name: str, known: dict[str, int], found: str) -> None:
    assert bookshelf._named_alone(Book(name=name), 7, known).name == found


# --- what a model has in view -------------------------------------------------------------------


def test_what_was_given_or_said_in_the_window_is_not_given_again() -> None:
    path = [
        line(1, recalled_ids=(10,)),
        line(2, "assistant"),
        line(3, recalled_ids=(12,)),
        line(4, recalled_ids=(13,)),
    ]
    found = [
        SimpleNamespace(passage=SimpleNamespace(id=number, message_id=message))
        for number, message in ((10, None), (11, 2), (12, None), (13, None), (14, 1))
    ]
    context = SimpleNamespace(path=path, hits=found)

    def left(start: int | None) -> list[int]:
        return [one.passage.id for one in record._not_in_view(context, start)]  # type: ignore[arg-type]

    assert left(None) == [13]
    assert left(3) == [10, 11, 13, 14]
    assert left(2) == [10, 13, 14]


def test_entries_have_room_one_by_one_and_passages_in_order() -> None:
    counter = TokenCounter()

    def fired(name: str, words: int) -> Fired:
        place = Place(Position.BEFORE_CHARACTER)
        return Fired(EntryId("book", name), name, "word " * words, place, 1.0, Cause.KEY)

    entries = [fired("a", 20), fired("b", 200), fired("c", 20)]
    size = counter.count(record.note_of_entry(entries[0]))
    fitting, _ = record._with_room(entries, [], counter, 2 * size)
    assert [one.id.uid for one in fitting] == ["a", "c"]
    fitting, _ = record._with_room(entries, [], counter, 2 * size - 1)
    assert [one.id.uid for one in fitting] == ["a"]


# --- the offline narrator -----------------------------------------------------------------------


def at(lines: int, *clocks: Clock) -> CurrentState:
    return CurrentState(StoryState(clocks=clocks), Steering(), Now(lines, 0.0), 0.0)


def test_a_clock_leads_to_something_with_the_line_that_fills_it() -> None:
    flood, nameless = Clock("Flood", 2, every=2, then="The dam breaks"), Clock("Dawn", 4, every=1)
    assert [cue._happening(at(n, flood)) for n in (3, 4, 5)] == [[], ["The dam breaks"], []]
    assert [cue._happening(at(n, nameless)) for n in (3, 4, 5)] == [[], ["Dawn"], []]


def test_lines_are_told_as_the_players_or_the_narrators() -> None:
    assert cue._spoken(line(1, "user", "a")).role == "user"
    assert cue._spoken(line(1, "assistant", "a")).role == "assistant"


@pytest.mark.parametrize(("title", "text"), [("Bells", "## Bells\nThey ring."), ("", "They ring.")])
def test_lore_is_told_under_its_heading(title: str, text: str) -> None:
    passage = SimpleNamespace(title=title, text="They ring.")
    assert cue._headed(passage) == text  # type: ignore[arg-type] # asked for these alone


# --- what recall is asked and tells -------------------------------------------------------------


def recalled(
    number: int, kind: str, scope: str, source: str = "", tokens: int = 10, **more: Any
) -> Hit:
    values = {"title": f"t{number}", "text": f"text {number}", **more}
    passage = SimpleNamespace(id=number, kind=kind, scope=scope, source=source, pinned=False, **values)
    return Hit(passage, 1.0, 0.123456, ("bell",), tokens)  # type: ignore[arg-type]


def test_recalled_lore_has_the_room_that_entries_leave() -> None:
    found = [
        recalled(1, "lore", lore_scope("harbour"), "world"),
        recalled(2, "lore", book_scope(7)),  # of a book: it fires by itself
        recalled(3, "lore", lore_scope("harbour"), "file:bell.md"),  # fired as an entry
        recalled(4, "memory", "memory:s"),
        recalled(5, "lore", lore_scope("harbour"), "world"),
        recalled(6, "lore", lore_scope("harbour"), "world", tokens=0),
    ]
    ready = SimpleNamespace(ids={"Bells": 7})

    def beside(room: int) -> list[int]:
        fired = (SimpleNamespace(id=EntryId(f"{FILE_BOOK}harbour", "file:bell.md")),)
        entries = SimpleNamespace(fired=fired, tokens=5.0)
        left = books_at_hand._beside(found, ready, entries, "harbour", room)  # type: ignore[arg-type]
        return [item.passage.id for item in left]

    assert beside(25) == [1, 4, 5, 6]
    assert beside(24) == [1, 4]
    assert beside(14) == [4]
    assert beside(99) == [1, 4, 5, 6]


def test_watchers_see_no_secrets_and_a_table_no_memories() -> None:
    found = [
        recalled(1, "lore", "lore:harbour"),
        recalled(2, "memory", "memory:s"),
        recalled(3, "lore", cast_scope("mara")),
    ]
    for shared in (False, True):
        event = record.recall_event("t", found, shared=shared)
        texts = [item.text for item in event.metadata.items]
        assert texts == ["text 1", "" if shared else "text 2", ""]
        assert event.content == "recalled 2 of lore, 1 of this story"
        assert {item.similarity for item in event.metadata.items} == {0.123}
        assert [item.why == record.WHY_KEPT for item in event.metadata.items] == [
            False,
            False,
            True,
        ]


def test_a_line_follows_upon_the_last_two_messages() -> None:
    assert context.around(["a", "b", "c"]) == "b\nc"
    assert context.around(["a", "", "c"], "scene") == "scene\nc"
    assert context.around([]) == ""


@pytest.mark.parametrize(
    ("continues", "variant", "trigger", "seed"),
    [
        (False, 0, "normal", "s:3"),
        (False, 2, "swipe", "s:3"),
        (True, 0, "continue", "s:2"),
        (True, 2, "continue", "s:2"),
    ],
)
def test_the_dice_of_a_scan_are_those_of_the_line_that_is_answered(
    monkeypatch: pytest.MonkeyPatch, continues: bool, variant: int, trigger: str, seed: str
) -> None:
    monkeypatch.setattr(books_at_hand, "moment_of", lambda *_: Moment(path=(), count=3, values=VALUES))
    turn = SimpleNamespace(session_id="s", continues=continues, variant=variant, leaf=9)
    path = [line(1), line(2), line(3, "assistant")]
    found = books_at_hand._line_moment(turn, None, None, path, 3, 10)  # type: ignore[arg-type]
    assert (found.trigger, found.seed) == (trigger, seed)
    none = books_at_hand._line_moment(turn, None, None, [], 3, 10)  # type: ignore[arg-type]
    assert none.seed == "s:9"


@pytest.mark.parametrize(
    ("roles", "read"),
    [
        (("assistant", "user"), [1]),
        (("user", "assistant", "user"), [2]),
        (("assistant", "user", "assistant"), []),  # the reply that goes on has set them already
        (("user",), []),
    ],
)
async def test_a_note_that_sets_variables_sets_them_as_before_the_line(
    monkeypatch: pytest.MonkeyPatch, roles: tuple[str, ...], read: list[int]
) -> None:
    asked: list[int] = []

    async def variables_at(_: object, __: str, message: int) -> dict[str, str]:
        asked.append(message)
        return {"a": "before"}

    services = SimpleNamespace(
        database=SimpleNamespace(read=variables_at), assets=None, narrator_updates=False
    )
    turn = SimpleNamespace(
        session_id="s",
        world_id="",
        character_id="",
        model_id="",
        selection=None,
        line="",
        continues=False,
    )
    now = CurrentState(
        StoryState(),
        Steering(note=Note("{{setvar::a::1}}", 0, 1)),
        Now(1, 0.0),
        0.0,
        variables={"a": "now"},
    )
    path = [line(number, role) for number, role in enumerate(roles, 1)]
    monkeypatch.setattr(context, "direct", lambda *_, variables, **__: variables)
    found: Any = await context._direction(services, turn, path, now)  # type: ignore[arg-type]
    assert (asked, found) == (read, {"a": "before" if read else "now"})


async def test_a_stored_template_has_what_the_context_preset_of_its_name_puts_around(
    tmp_path: Path,
) -> None:
    async with engine_world(tmp_path / "flower.db") as world:
        services, database = world.engine.services, world.database

        async def named(name: str) -> Template | str | None:
            return await model.template_of(services, model.StorySettings({TEMPLATE: name}, 0, 0))

        template = {"user": ["<u>", "</u>"], "assistant": ["<a>", "</a>"]}
        await database.write(presets.put, presets.INSTRUCT, "mine", template, 1.0)
        alone = await named("mine")
        await database.write(
            presets.put, presets.CONTEXT, "mine", {"before": "<s>", "after": "</s>"}, 1.0
        )
        both = await named("mine")
        assert isinstance(alone, Template)
        assert isinstance(both, Template)
        assert both.system == ("<s>", "</s>")
        assert alone.system != both.system
        assert await named("none") is None
        assert await named(SERVER) == SERVER


@pytest.mark.parametrize(
    ("day", "ending"),
    [
        (1, "st"),
        (2, "nd"),
        (3, "rd"),
        (4, "th"),
        (10, "th"),
        (11, "th"),
        (13, "th"),
        (14, "th"),
        (21, "st"),
        (31, "st"),
    ],
)
def test_a_day_has_its_ending(day: int, ending: str) -> None:
    assert macro_values._ending(day) == ending

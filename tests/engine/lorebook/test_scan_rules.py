"""Small rules of what is gathered for a prompt, one by one: which books, which lines, and whose moment it is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any

import pytest
from msgspec.structs import replace

from flower.engine.assets.kinds import Character, World
from flower.engine.game.clocks import Now
from flower.engine.game.state import StoryState
from flower.engine.game.steering import Persona, Steering
from flower.engine.lorebook.book import Book, Entry, Position, Role, TextSource
from flower.engine.lorebook.outcome import Cause, Fired, Outcome, Place
from flower.engine.lorebook.rules import EntryId
from flower.engine.lorebook.situation import NOTHING
from flower.engine.prompt import books_at_hand, bookshelf, context
from flower.engine.prompt.bookshelf import Bookshelf, Moment
from flower.engine.prompt.direction import Direction, expanded_world
from flower.engine.prompt.lore_entries import sorted_out
from flower.engine.prompt.scripted import NO_SCRIPTS
from flower.engine.recall.base import book_scope
from flower.engine.store import stories, whispers
from flower.engine.store.connection import Connection
from flower.engine.store.library import books, personas
from flower.engine.store.library.books import OwnedBook, Owner
from flower.engine.store.states import CurrentState
from tests.engine.prompt.test_macros import VALUES
from tests.engine.prompt.test_prompt_rules import turn_input
from tests.engine.prompt.test_shelf_rules import line
from tests.engine.store.test_tree import S, say


@pytest.fixture
def db(db: Connection) -> Connection:
    stories.create_session(db, S, "harbour", "mara", "Hello.", 1.0)
    return db


# --- books --------------------------------------------------------------------------------------


class Shelf:
    """A bookshelf over a connection, and what recall was told of the books."""

    def __init__(self, db: Connection) -> None:
        self.db, self.told = db, list[tuple[str, Mapping[str, object]]]()
        self.bookshelf = Bookshelf()

    async def read(self, function: Callable[..., object], *args: object) -> object:
        return function(self.db, *args)

    async def sync_sources(self, scope: str, texts: Mapping[str, object]) -> None:
        self.told.append((scope, texts))

    async def ready(self, *held: OwnedBook) -> bookshelf.Ready | None:
        here: Any = self
        return await self.bookshelf.ready(here, here, held)


def owned(
    db: Connection, name: str, *entries: Entry, owner: Owner = Owner.WORLD, of: str = "w"
) -> OwnedBook:
    number = books.add(db, Book(name=name, entries=entries), 1.0)
    books.give(db, number, owner, of)
    (found,) = [one for one in books.listed(db) if one.id == number]
    return OwnedBook(found, owner, of)


PLAIN, MEANT = (
    Entry(uid="1", keys=("bell",), content="Rings."),
    Entry(uid="2", content="Tolls.", vectorized=True),
)


async def test_a_set_of_books_is_ready_until_others_were_asked_for(
    db: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flower.engine.prompt.bookshelf.LORE_SETS_READY", 2)
    shelf, sets = Shelf(db), [owned(db, name, PLAIN) for name in "abc"]
    assert await shelf.ready() is None
    first = await shelf.ready(sets[0])
    assert await shelf.ready(sets[0]) is first
    await shelf.ready(sets[1])
    assert await shelf.ready(sets[0]) is first  # asked for last
    await shelf.ready(sets[2])
    assert await shelf.ready(sets[0]) is first
    assert (
        await shelf.ready(OwnedBook(replace(sets[0].stored, updated=2.0), Owner.WORLD, "w"))
        is not first
    )


async def test_recall_is_told_of_a_book_once_until_it_changes(db: Connection) -> None:
    off = Entry(uid="3", content="Off.", vectorized=True, enabled=False)
    shelf, meant, plain = Shelf(db), owned(db, "a", PLAIN, MEANT, off), owned(db, "b", PLAIN)
    ready = await shelf.ready(meant, plain)
    assert ready is not None
    assert ready.meanings == (meant.stored.id,)
    assert [(scope, len(texts)) for scope, texts in shelf.told] == [
        (book_scope(meant.stored.id), 1), (book_scope(plain.stored.id), 0)
    ]  # fmt: skip
    await shelf.ready(meant)
    assert len(shelf.told) == 2
    await shelf.ready(OwnedBook(replace(meant.stored, updated=0.5), Owner.WORLD, "w"))
    assert len(shelf.told) == 3


async def test_a_story_has_so_many_entries_and_says_which_book_is_left_out(
    db: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flower.engine.prompt.bookshelf.LORE_ENTRIES", 3)
    held = [
        owned(db, "a", PLAIN, MEANT, owner=Owner.CHARACTER, of="mara"),
        owned(db, "b", PLAIN, MEANT, owner=Owner.PERSONA, of="1"),
        owned(db, "c", PLAIN),
    ]
    ready = await Shelf(db).ready(*held)
    assert ready is not None
    assert (list(ready.ids), ready.owners) == (["a", "c"], {"a": "mara"})
    assert ready.trouble == "Lorebook 'b' is left out: 3 entries are the most in one story."
    books.remove(db, held[2].stored.id)
    gone = await Shelf(db).ready(held[2])
    assert gone is not None
    assert (gone.ids, "'c' cannot be read" in gone.trouble) == ({}, True)


def test_lasting_effects_are_the_newest_before_the_last_line() -> None:
    assert bookshelf.timed_before([line(1), line(2, lore_timed=NOTHING), line(3)]) == NOTHING


def test_the_books_of_a_persona_are_those_of_the_bound_one_of_its_name(db: Connection) -> None:
    ids = {title: personas.put(db, "Wren", title, "", 1.0) for title in ("smith", "thief")}
    ids["other"] = personas.put(db, "Ada", "", "", 1.0)
    for title, number in ids.items():
        book = books.add(db, Book(name=title), 1.0)
        books.give(db, book, Owner.PERSONA, str(number))

    def held(name: str, *off: int) -> list[str]:
        steered = Steering(persona=Persona(name), books=off)
        found = books_at_hand.books_here(db, story=S, world="w", characters=["mara"], steered=steered)
        return [one.stored.name for one in found]

    assert (held(""), held("Nobody"), held("Wren"), held("Ada")) == ([], [], ["smith"], ["other"])
    personas.bind(db, ids["thief"], "character", "mara")
    assert (held("Wren"), held("Ada")) == (["thief"], ["other"])
    assert held("Ada", books.of_file(db, "other")[0]) == []


@pytest.mark.parametrize(
    ("after", "before", "kept", "continues", "stored"),
    [(False, False, False, False, False), (True, False, False, False, True), (False, True, False, False, True),
     (False, False, True, False, True), (True, True, True, True, False)],
)  # fmt: skip
async def test_lasting_effects_are_stored_where_there_are_or_were_any(
    after: bool, before: bool, kept: bool, continues: bool, stored: bool
) -> None:
    some: Any = "effects"
    outcome = Outcome(timed=some if after else NOTHING)

    async def scan(*_: object) -> Outcome:
        return outcome

    services: Any = SimpleNamespace(bookshelf=SimpleNamespace(scan=scan))
    ready: Any = SimpleNamespace(library=SimpleNamespace(by_id={}), owners={}, trouble="")
    path = [line(1, lore_timed=NOTHING if kept else None)]
    moment = Moment(path=path, count=1, values=VALUES, timed=some if before else NOTHING)
    entries, _ = await books_at_hand._scanned(
        services, ready, moment, turn_input(continues=continues), NO_SCRIPTS
    )
    assert entries.timed == (outcome.timed if stored else None)


def test_entries_at_one_depth_stand_with_the_systems_nearest_to_the_end() -> None:
    fired = [
        Fired(
            EntryId("b", role.name),
            "",
            role.name,
            Place(Position.AT_DEPTH, depth=1, role=role),
            1.0,
            Cause.KEY,
        )
        for role in (Role.USER, Role.SYSTEM, Role.ASSISTANT)
    ]
    library: Any = SimpleNamespace(by_id={})
    found = sorted_out(Outcome(fired=tuple(fired)), library)
    assert [(one.text, one.role, one.depth) for one in found.insets] == [
        ("ASSISTANT", "assistant", 0), ("USER", "user", 0), ("[SYSTEM]", "user", 0)
    ]  # fmt: skip


def test_entries_may_look_at_who_is_played_and_where() -> None:
    mara = Character("mara", "Mara", "Keeps.", tags=("keeper",), notes="Mind the dog.")
    ada = Character("ada", "Ada", "Walks.", tags=("queen",))
    world = World("w", "W", scene="A quay.")
    current = CurrentState(
        StoryState(), Steering(persona=Persona("Ines", "A smith.")), Now(1, 0.0), 0.0
    )
    bare = replace(VALUES, scenario="")
    direction = Direction(
        sections=(), values=bare, world=world, character=mara, played=(mara, ada), knowing=(mara, ada)
    )
    found = books_at_hand.moment_of(direction, current, [], 7, 50)
    assert dict(found.sources) == {
        TextSource.PERSONA: "A smith.", TextSource.DESCRIPTION: "Keeps.", TextSource.SCENARIO: "A quay.",
        TextSource.DEPTH_PROMPT: "", TextSource.CREATOR_NOTES: "Mind the dog.",
    }  # fmt: skip
    assert (found.names, found.tags) == ({"mara": "Mara", "ada": "Ada"}, frozenset({"keeper", "queen"}))
    assert (found.characters, found.count, found.tokens) == (frozenset({"Mara", "Ada"}), 7, 50)
    told = books_at_hand.moment_of(Direction(sections=(), values=VALUES), current, [], 7, 50)
    assert dict(told.sources)[TextSource.SCENARIO] == "Dusk."
    nowhere = books_at_hand.moment_of(Direction(sections=(), values=bare), current, [], 7, 50)
    assert set(dict(nowhere.sources).values()) == {"A smith.", ""}


def test_recall_looks_beyond_the_messages_right_before_the_line() -> None:
    services: Any = SimpleNamespace(
        assets=SimpleNamespace(worlds={"w": World("w", "W", scene="A quay.")})
    )
    direction = Direction(sections=(), values=VALUES)

    def query(count: int) -> Any:
        path = [line(number, content=f"line {number}") for number in range(1, count + 1)]
        visible: Any = SimpleNamespace()
        return context._query(services, turn_input(), direction, path, visible, None)

    assert query(4).context == "line 2\nline 3"
    assert query(2).context == "A quay.\nline 1"
    recent = context.RECALL_RECENT_MESSAGES
    assert query(recent + 5).recent_messages == set(range(5, recent + 5))


# --- lines --------------------------------------------------------------------------------------


def test_hidden_messages_are_in_no_prompt_but_for_the_newest(
    db: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    say(db, "One.", "Two.")
    say(db, "Three.", "Four.")
    path = stories.active_path(db, S)
    for message in (path[1], path[-1]):
        stories.set_message_extra(db, message.id, {"hidden": True})
    turn = replace(turn_input(), session_id=S, leaf=path[-1].id)
    services: Any = SimpleNamespace(params={}, context_tokens=4_000, reply_tokens=400)
    story = context._story_so_far(db, services, turn)
    assert [message.content for message in story.path] == ["Hello.", "Two.", "Three.", "Four."]
    assert (story.current.now.lines, story.scripts, story.has_books) == (2, (), False)
    assert path[1].id not in story.visible
    monkeypatch.setattr(context, "most_messages", lambda _: 2)
    newest = context._story_so_far(db, services, turn).path
    assert [message.content for message in newest] == ["Three.", "Four."]


def test_whispers_are_told_after_their_message_but_not_after_the_last(db: Connection) -> None:
    say(db, "One.", "Two.")
    path = stories.active_path(db, S)
    assert context._with_whispers(db, path) == path
    for message, text in ((path[0], "psst"), (path[0], "hush"), (path[-1], "later")):
        whispers.add(db, S, message.id, 1, 2, text, 1.0)
    found = context._with_whispers(db, path)
    assert [message.extra.told for message in found] == ["Hello.\n[psst]\n[hush]", "", ""]
    assert found[1:] == path[1:]


def test_a_world_is_expanded_where_there_is_one() -> None:
    assert expanded_world(None, VALUES) is None
    world = expanded_world(
        World("w", "W", scene="{{user}}", system_prompt="{{char}}", lore="{{user}}"), VALUES
    )
    assert world is not None
    assert (world.scene, world.system_prompt, world.lore) == ("Ines", "Mara", "{{user}}")
    assert Direction(sections=(), values=VALUES).note_every == 1

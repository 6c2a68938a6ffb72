"""Small rules of what is gathered for a turn, one by one: which messages, whose books, what recall is asked."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest
import trio
from msgspec.structs import replace

from flower import limits
from flower.engine.assets.kinds import Character, DepthPrompt, World
from flower.engine.game.clocks import Now
from flower.engine.game.state import StoryState
from flower.engine.game.steering import Persona, Steering
from flower.engine.lorebook.book import Book, Entry, TextSource
from flower.engine.lorebook.outcome import Outcome
from flower.engine.lorebook.rules import EntryId
from flower.engine.lorebook.situation import NOTHING, Timed
from flower.engine.prompt import books_at_hand, bookshelf, context
from flower.engine.prompt.bookshelf import Bookshelf, Moment, Ready
from flower.engine.prompt.direction import Direction
from flower.engine.prompt.scripted import Acted
from flower.engine.recall.base import book_scope, cast_scope, lore_scope, memory_scope
from flower.engine.store.states import CurrentState
from flower.engine.store.stories import Message
from flower.engine.store.whispers import Whisper
from flower.errors import StoreError
from tests.engine.prompt.test_macros import VALUES
from tests.engine.prompt.test_moment_rules import context_of
from tests.engine.prompt.test_prompt_rules import turn_input
from tests.engine.prompt.test_record_rules import hit
from tests.engine.prompt.test_shelf_rules import line

MARA = Character(id="mara", name="Mara", persona="Keeps.", lore="Of the lamp.", tags=("sea",))
OLAF = Character(id="olaf", name="Olaf", persona="Loud.", tags=("bell",))
SOME = Timed(done=(EntryId("Bells", "a"),))
STEERED = CurrentState(StoryState(), Steering(), Now(1, 0.0), 0.0)


def direction(**fields: Any) -> Direction:
    return Direction(sections=(), values=VALUES, **fields)


# --- the path -----------------------------------------------------------------------------------


def test_a_history_leaves_out_what_is_before_its_first_message() -> None:
    whole = context_of(line(5), line(6))
    assert [whole.leaves_out(start) for start in (5, 6, 4, None)] == [False, True, True, False]
    behind = context_of(replace(line(5), parent_id=4), line(6))
    assert behind.leaves_out(5)  # the path itself begins in the middle
    assert not context_of().leaves_out(5)


def test_the_narrator_reads_whispers_after_the_message_they_follow(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[list[int]] = []

    def after(_: object, messages: list[int]) -> dict[int, list[Whisper]]:
        asked.append(messages)
        return {n: [Whisper(n, 1, 2, "Psst."), Whisper(n, 2, 1, "Yes?")] for n in messages if n < 3}

    monkeypatch.setattr(context.whispers, "after", after)
    path = [line(1), line(2, told="For the model."), line(3), line(4)]
    db: Any = None
    found = context._with_whispers(db, path)
    assert asked == [[1, 2, 3]]  # the last one may be a reply that goes on
    assert found[0].extra.told == "words\n[Psst.]\n[Yes?]"
    assert found[1].extra.told == "For the model.\n[Psst.]\n[Yes?]"
    assert found[2:] == path[2:]
    assert [message.content for message in found] == ["words"] * 4
    monkeypatch.setattr(context.whispers, "after", lambda *_: {})
    assert context._with_whispers(db, path) is path


@pytest.mark.parametrize(
    ("players", "reply_id", "ask", "reads"),
    [(True, 9, "", True), (False, 9, "", False), (True, 0, "", False), (True, 9, "What?", False)],
)
def test_whispers_are_for_the_replies_of_a_table(
    monkeypatch: pytest.MonkeyPatch, players: bool, reply_id: int, ask: str, reads: bool
) -> None:
    """Not for what one player asks for alone."""
    path = [line(1), line(2, hidden=True), line(3, hidden=True)]
    steered = Steering(players=(Persona("Ines"),) if players else ())
    seen: list[object] = []
    monkeypatch.setattr(context, "settings_with", lambda *_: SimpleNamespace(context_tokens=4_000))
    monkeypatch.setattr(context, "_with_whispers", lambda _, path: seen.append(path) or path)
    monkeypatch.setattr(context.selections, "of_story", lambda *_: {})
    monkeypatch.setattr(context.stories, "path", lambda *_, **__: path)
    monkeypatch.setattr(
        context.states, "current_at", lambda *args: replace(STEERED, steering=steered, begun=args[-1])
    )
    monkeypatch.setattr(context.paths, "way", lambda *_: SimpleNamespace(remembered={1, 2, 3}))
    monkeypatch.setattr(context.scripts, "holding", lambda _, ids: ids)
    monkeypatch.setattr(context.search, "newest", lambda *_: None)
    monkeypatch.setattr(context.books, "are_owned", lambda _: True)
    turn = replace(turn_input(), reply_id=reply_id, ask=ask)
    nothing: Any = None
    found = context._story_so_far(nothing, nothing, turn)
    assert [message.id for message in found.path] == [
        1,
        3,
    ]  # of what is hidden the newest alone is read
    assert bool(seen) is reads
    assert found.scripts[0] == "c"
    assert found.has_books


@pytest.mark.parametrize(
    ("played", "speaker", "asked"),
    [
        ((), "", False), ((MARA,), "mara", False), ((MARA, OLAF), "mara", True), ((MARA, OLAF), "", False),
        ((MARA, OLAF), "narrator", False), ((MARA, OLAF, MARA), "olaf", True),
    ],
)  # fmt: skip
async def test_who_speaks_among_others_knows_what_they_were_there_for(
    played: tuple[Character, ...], speaker: str, asked: bool
) -> None:
    async def read(*_: object) -> set[int]:
        return {1}

    services: Any = SimpleNamespace(database=SimpleNamespace(read=read))
    visible: Any = {1, 2, 3}
    one = direction(played=played, speaker=speaker)
    found = await context._witnessed(services, turn_input(), one, visible)
    assert found == ({1} if asked else visible)


def test_what_was_said_in_their_absence_is_all_before_the_newest_that_they_did_not_witness() -> None:
    path = [line(number) for number in (1, 2, 3, 4)]
    visible: Any = {2, 3, 4}
    witnessed: Any = {3}
    assert context._missed(path, visible, witnessed) == {2}
    assert context._missed(path, visible, visible) == frozenset()


# --- what recall is asked -----------------------------------------------------------------------


def query(count: int, **fields: Any) -> Any:
    worlds = {"w": World("w", "Harbour", scene="Dusk.")}
    services: Any = SimpleNamespace(assets=SimpleNamespace(worlds=fields.pop("worlds", worlds)))
    path = [line(number, content=f"{number}") for number in range(1, count + 1)]
    ready: Any = fields.pop("ready", None)
    one = direction(knowing=(MARA, OLAF))
    visible: Any = {1, 2}
    return context._query(services, turn_input(), one, path, visible, ready)


def test_recall_is_asked_by_the_line_and_what_it_follows_upon() -> None:
    first = query(2)
    assert (first.text, first.context) == ("Go.", "Dusk.\n1")
    assert query(1).context == "Dusk."
    assert query(3).context == "1\n2"  # the scene is a help at first alone
    assert query(2, worlds={}).context == "1"
    late = query(9)
    assert late.context == "7\n8"
    assert late.recent_messages == {5, 6, 7, 8}
    assert late.visible_messages == {1, 2}
    assert (late.lore_scope, late.memory_scope) == (lore_scope("w"), memory_scope("s"))
    assert late.budget_tokens == limits.RECALL_TOKENS
    assert late.cast_scopes == (cast_scope("mara"),)  # the other has no lore
    ready = SimpleNamespace(meanings=(7, 8))
    assert query(9, ready=ready).cast_scopes == (cast_scope("mara"), book_scope(7), book_scope(8))


async def test_lore_of_characters_is_made_known_to_recall_where_there_is_any() -> None:
    synced: list[tuple[str, ...]] = []

    async def sync_source(*args: str) -> None:
        synced.append(args)

    library: Any = SimpleNamespace(sync_source=sync_source)
    await context._sync_characters(library, direction(knowing=(OLAF, MARA)))
    assert synced == [(cast_scope("mara"), "character", "Mara", "Of the lamp.")]


@pytest.mark.parametrize("late", [False, True])
async def test_a_turn_waits_for_recall_so_long_and_goes_on(
    autojump_clock: trio.testing.MockClock, late: bool
) -> None:
    hits = SimpleNamespace(hits=())

    async def consider(_: object) -> object:
        await trio.sleep(context.RECALL_DEADLINE_S + (1 if late else -1))
        return hits

    services: Any = SimpleNamespace(library=SimpleNamespace(consider=consider))
    nothing: Any = None
    found, too_late = await context._consider(services, turn_input(), nothing)
    assert too_late is late
    assert (found is hits) is not late
    assert list(found.hits) == []


# --- which books hold ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "bound", "listed", "holds"),
    [
        ("Ines", (1, "Ines"), (2, "Ines"), 1), ("Ines", (1, "Ned"), (2, "Ines"), 2), ("Ines", None, (2, "Ines"), 2),
        ("Ines", None, (2, "ines"), None), ("Ines", None, None, None), ("", (1, ""), (2, ""), None),
        ("Ines", (1, "Zoe"), None, None), ("Ines", (1, "Ada"), None, None),
    ],
)  # fmt: skip
def test_the_books_of_a_persona_are_those_of_who_is_played(
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    bound: tuple[int, str] | None,
    listed: tuple[int, str] | None,
    holds: int | None,
) -> None:
    def persona(row: tuple[int, str] | None) -> Any:
        return None if row is None else SimpleNamespace(id=row[0], name="".join(row[1]))

    asked: list[Any] = []

    def holding(_: object, **fields: Any) -> list[Any]:
        asked.append(fields)
        return [SimpleNamespace(stored=SimpleNamespace(id=number)) for number in (1, 2, 3)]

    bindings: list[str] = []
    monkeypatch.setattr(
        books_at_hand.personas, "for_story", lambda _, __, who: bindings.append(who) or persona(bound)
    )
    monkeypatch.setattr(books_at_hand.personas, "find_in_story", lambda *_: persona(listed))
    monkeypatch.setattr(books_at_hand.books, "holding", holding)
    db: Any = None
    steered = Steering(persona=Persona(name), books=(2,))
    for characters in (["mara", "olaf"], []):
        found = books_at_hand.books_here(
            db, story="s", world="w", characters=characters, steered=steered
        )
        assert [one.stored.id for one in found] == [1, 3]
    assert asked[0] == {
        "story": "s", "world": "w", "characters": ["mara", "olaf"], "persona": holds, "user": 0
    }  # fmt: skip
    assert bindings == (["mara", ""] if name else [])


def book(*entries: Entry, name: str = "Bells") -> Book:
    return Book(name=name, entries=entries)


class Stored:
    """Books by number; one that is a text cannot be read, for that reason."""

    def __init__(self, **books: Book | str) -> None:
        self.books = {int(name[1:]): one for name, one in books.items()}
        self.synced: list[tuple[str, list[str]]] = []

    async def read(self, _: object, number: int) -> Book:
        one = self.books[number]
        if isinstance(one, str):
            raise StoreError(one)
        return one

    async def sync_sources(self, scope: str, texts: dict[str, tuple[str, str]]) -> None:
        self.synced.append((scope, sorted(texts)))


def held(number: int, *, updated: float = 1.0, owner: Any = None, owner_id: str = "") -> Any:
    owner = owner or bookshelf.Owner.ALL
    stored = SimpleNamespace(id=number, updated=updated, name=f"book {number}")
    return bookshelf.OwnedBook(stored, owner, owner_id)  # type: ignore[arg-type]


async def shelf(stored: Stored, *held: Any, on: Bookshelf | None = None) -> Ready | None:
    both: Any = stored
    return await (on or Bookshelf()).ready(both, both, held)


async def test_a_fault_of_one_book_costs_no_other() -> None:
    stored = Stored(b1="It is damaged.", b2=book(Entry(uid="a")), b3="So is this.")
    found = await shelf(stored, held(1), held(2), held(3))
    assert found is not None
    assert found.ids == {"Bells": 2}
    assert found.trouble == (
        "Lorebook 'book 1' cannot be read: It is damaged; 'book 3' cannot be read: So is this."
    )
    assert await shelf(stored) is None


async def test_books_have_room_for_so_many_entries_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bookshelf, "LORE_ENTRIES", 3)
    two, one = book(Entry(uid="a"), Entry(uid="b")), book(Entry(uid="a"), name="Ships")
    found = await shelf(Stored(b1=two, b2=two, b3=one), held(1), held(2), held(3))
    assert found is not None
    assert found.ids == {"Bells": 1, "Ships": 3}
    assert "'book 2' is left out: 3 entries are the most" in found.trouble
    full = await shelf(Stored(b1=two, b3=one), held(1), held(3))
    assert full is not None
    assert (len(full.ids), full.trouble) == (2, "")


async def test_a_book_of_one_character_is_known_by_whose_it_is() -> None:
    stored = Stored(b1=book(Entry(uid="a")), b2=book(Entry(uid="a")))
    found = await shelf(stored, held(1, owner=bookshelf.Owner.CHARACTER, owner_id="mara"), held(2))
    assert found is not None
    assert found.owners == {"Bells": "mara"}
    assert found.ids == {"Bells": 1, "Bells (2)": 2}


async def test_books_are_made_ready_once_until_one_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bookshelf, "LORE_SETS_READY", 2)
    stored, shelves = Stored(b1=book(Entry(uid="a")), b2=book(), b3=book()), Bookshelf()
    first = await shelf(stored, held(1), on=shelves)
    assert await shelf(stored, held(1), on=shelves) is first
    assert await shelf(stored, held(1, updated=2.0), on=shelves) is not first
    assert await shelf(stored, held(1), on=shelves) is first  # the one used last stays
    await shelf(stored, held(2), on=shelves)
    assert await shelf(stored, held(1), on=shelves) is first
    await shelf(stored, held(3), on=shelves)
    await shelf(stored, held(2), on=shelves)
    assert await shelf(stored, held(1), on=shelves) is not first


async def test_recall_knows_the_entries_that_are_recalled_by_meaning_as_they_are() -> None:
    entries = [
        Entry(uid="a", vectorized=True, content="Bells."), Entry(uid="b", content="Ropes."),
        Entry(uid="c", vectorized=True, content=" "), Entry(uid="d", vectorized=True, content="x", enabled=False),
    ]  # fmt: skip
    stored, shelves = Stored(b1=book(*entries), b2=book(entries[1], name="Ships")), Bookshelf()
    found = await shelf(stored, held(1), held(2), on=shelves)
    assert found is not None
    assert found.meanings == (1,)
    assert stored.synced == [(book_scope(1), ["entry:a"]), (book_scope(2), [])]
    await shelf(stored, held(1), on=shelves)  # another set, but the same book
    assert len(stored.synced) == 2
    await shelf(stored, held(1, updated=2.0), on=shelves)
    assert stored.synced[2:] == [(book_scope(1), ["entry:a"])]


def test_entries_are_asked_for_by_the_passages_that_were_recalled() -> None:
    ready: Any = SimpleNamespace(ids={"Bells": 7})
    found = [
        replace(hit(1, scope=book_scope(7)), passage=replace(hit(1).passage, scope=book_scope(7), source="entry:a")),
        hit(2, scope=book_scope(8)),
    ]  # fmt: skip
    assert bookshelf.requested(found, ready) == {EntryId("Bells", "a")}
    assert bookshelf.file_of(EntryId("Bells", "file:a")) == ""
    assert bookshelf.file_of(EntryId(f"{bookshelf.FILE_BOOK}w", "file:a")) == "file:a"


def test_lasting_effects_are_the_newest_that_were_kept() -> None:
    path = [line(1, lore_timed=SOME), line(2, lore_timed=NOTHING), line(3), line(4)]
    assert bookshelf.timed_before(path) == NOTHING
    assert bookshelf.timed_before(path[:2]) == SOME


# --- what a scan works with ---------------------------------------------------------------------


def moment_of(**fields: Any) -> Moment:
    steered = replace(STEERED, steering=Steering(persona=Persona("Ines", "Tall.")))
    return books_at_hand.moment_of(direction(**fields), steered, [line(1)], 5, 80)


def test_a_scan_reads_the_texts_of_who_is_played() -> None:
    card = replace(MARA, depth_prompt=DepthPrompt("Tired.", 1, "system"), notes="A note.")
    found = moment_of(character=card, played=(card, OLAF), knowing=(card, OLAF))
    assert found.sources == {
        TextSource.PERSONA: "Tall.", TextSource.DESCRIPTION: "Keeps.", TextSource.SCENARIO: "Dusk.",
        TextSource.DEPTH_PROMPT: "Tired.", TextSource.CREATOR_NOTES: "A note.",
    }  # fmt: skip
    assert (found.names, found.characters) == ({"mara": "Mara", "olaf": "Olaf"}, {"Mara", "Olaf"})
    assert found.tags == {"sea", "bell"}
    assert (found.count, found.tokens) == (5, 80)
    nobody = moment_of()
    assert set(nobody.sources.values()) == {"Tall.", "", "Dusk."}
    plain = moment_of(character=MARA)
    assert plain.sources[TextSource.DEPTH_PROMPT] == ""


def test_a_scan_has_the_scene_where_there_is_no_scenario_and_variables_as_they_are_now() -> None:
    world = World("w", "Harbour", scene="Fog.")
    bare = replace(VALUES, scenario="")
    steered = STEERED

    def scenario(world: World | None) -> str:
        one = replace(direction(world=world), values=bare)
        return books_at_hand.moment_of(one, steered, [], 0, 0).sources[TextSource.SCENARIO]

    assert (scenario(world), scenario(None)) == ("Fog.", "")
    live = replace(VALUES, variables={"n": "1"}, sheet=frozenset({"n"}), char="Olaf")
    found = moment_of(live=live).values
    assert (found.variables, found.sheet, found.char) == ({"n": "1"}, {"n"}, VALUES.char)
    assert moment_of().values == VALUES


async def scanned(
    outcome: Outcome,
    *path: Message,
    timed: Timed = NOTHING,
    continues: bool = False,
    names: Sequence[str] = (),
) -> Any:
    async def scan(*_: object) -> Outcome:
        return outcome

    services: Any = SimpleNamespace(bookshelf=SimpleNamespace(scan=scan))
    ready: Any = SimpleNamespace(library=None, owners={"Diary": "mara"}, trouble="Damaged.")
    moment = Moment(path=path, count=1, values=VALUES, timed=timed, names=dict.fromkeys(names, ""))
    turn = turn_input(continues=continues)
    found, _ = await books_at_hand._scanned(services, ready, moment, turn, Acted())
    return found


async def test_lasting_effects_are_kept_where_there_are_or_were_any() -> None:
    before = line(1, lore_timed=NOTHING)
    assert (await scanned(Outcome(), line(1))).timed is None
    assert (await scanned(Outcome())).timed is None
    assert (await scanned(Outcome(timed=SOME), line(1))).timed == SOME
    assert (await scanned(Outcome(), line(1), timed=SOME)).timed == NOTHING
    assert (
        await scanned(Outcome(), before)
    ).timed == NOTHING  # a second try takes back what the first kept
    assert (await scanned(Outcome(timed=SOME), line(1), continues=True)).timed is None


async def test_a_diary_is_private_where_others_are_played() -> None:
    assert (await scanned(Outcome(), names=("mara",))).private == {}
    assert (await scanned(Outcome(), names=("mara", "olaf"))).private == {"Diary": "mara"}
    found = await scanned(Outcome(variables={"n": "1"}))
    assert (found.variables, found.trouble) == ({"n": "1"}, "Damaged.")
    assert (await scanned(Outcome(variables=VALUES.variables))).variables is None

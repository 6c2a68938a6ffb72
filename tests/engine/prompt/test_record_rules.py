"""Small rules of what goes with a line, what is stored of it and what is shown, one by one."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest
from msgspec.structs import replace

from flower.engine.assets.kinds import Character
from flower.engine.lorebook.book import CharacterFilter, Entry, Position, Role
from flower.engine.lorebook.decorators import NONE, Decorators
from flower.engine.lorebook.outcome import Cause, Fired, Held, Outcome, Place, Reason
from flower.engine.lorebook.rules import EntryId
from flower.engine.lorebook.situation import NOTHING as NO_EFFECTS
from flower.engine.prompt import lore_entries, record
from flower.engine.prompt.assemble import Inset, Section
from flower.engine.prompt.lore_entries import LoreEntries, entry_key, sorted_out
from flower.engine.prompt.record import IN_VIEW, WHY_KEPT, Fresh, fresh_of, recall_event, record_of
from flower.engine.prompt.scripted import Acted
from flower.engine.prompt.sections import RECALLED_HEAD, section_key
from flower.engine.recall.base import Hit, cast_scope
from flower.engine.scripts.script import Script
from flower.engine.store import stories
from flower.engine.store.extra import ManifestEntry
from flower.engine.store.passages import Passage
from tests.engine.prompt.test_moment_rules import context_of
from tests.engine.prompt.test_prompt_rules import turn_input
from tests.engine.prompt.test_shelf_rules import line
from tests.engine.prompt.test_window_rules import COUNTER

ROOM = 1_000
BOOK = "".join(["Be", "lls"])  # not the object that other tests have of these letters


def entry(uid: str, *, book: str = BOOK, text: str = "", **more: Any) -> Fired:
    place = Place(more.pop("position", Position.BEFORE_CHARACTER), **more.pop("place", {}))
    order, cause = more.pop("order", 1.0), more.pop("cause", Cause.KEY)
    return Fired(EntryId(book, uid), f"title {uid}", text or f"text {uid}", place, order, cause, **more)


def hit(number: int, kind: str = "lore", scope: str = "lore:harbour", **fields: Any) -> Hit:
    title, text = fields.pop("title", f"title {number}"), fields.pop("text", f"text {number}")
    passage = Passage(number, kind, scope, "world", title, text, **fields)  # type: ignore[arg-type]
    return Hit(passage, 1.0, 0.123456, (), 7)


# --- what is in view ----------------------------------------------------------------------------


def entries_left(path: Sequence[stories.Message], start: int | None, *due: Fired) -> list[str]:
    whole = replace(context_of(*path), entries=LoreEntries(with_line=due))
    return [one.id.uid for one in fresh_of(whole, COUNTER, start, ROOM).entries]


def test_entries_that_an_earlier_line_in_the_window_was_given_are_not_given_again() -> None:
    a, b, c = entry("a"), entry("b"), entry("c")
    path = [line(number, entries=(entry_key(one),)) for number, one in ((1, a), (2, b), (3, c))]
    assert entries_left(path, None, a, b, c) == ["c"]
    assert entries_left(path, 1, a, b, c) == ["c"]
    assert entries_left(path, 2, a, b, c) == ["a", "c"]
    assert entries_left(path, 3, a, b, c) == ["a", "b", "c"]
    assert entries_left(path, None) == []
    assert entries_left(path, None, replace(a, text="otherwise")) == ["a"]


def test_entries_and_passages_that_have_no_room_wait_as_a_whole() -> None:
    """Entries come first, each that fits; the passages beside them as far as they fit in their order."""
    entries = [entry("a", text="x" * 80), entry("b", text="x" * 500), entry("c", text="x" * 80)]
    hits = [hit(1, text="y" * 70), hit(2, text="y" * 70)]
    size = len(lore_entries.note_of_entry(entries[0]))
    note = len(record.note_of(hits[0]))

    def fitting(room: int, entries: Sequence[Fired] = entries) -> tuple[list[str], list[int]]:
        fired, left = record._with_room(entries, hits, COUNTER, room)
        return [one.id.uid for one in fired], [one.passage.id for one in left]

    assert fitting(2 * size + 2 * note) == (["a", "c"], [1, 2])
    assert fitting(2 * size + 2 * note - 1) == (["a", "c"], [1])
    assert fitting(2 * size + note - 1) == (["a", "c"], [])
    assert fitting(2 * size) == (["a", "c"], [])
    assert fitting(2 * size - 1) == (["a"], [])
    assert fitting(0, ()) == ([], [1, 2])  # without entries recall has kept to its own room


def test_what_one_character_alone_knows_is_apart_from_what_all_know() -> None:
    mara = Character("mara", "Mara", "Keeps.")
    found = [hit(1), hit(2, scope=cast_scope("mara")), hit(3, scope=cast_scope("olaf"))]
    entries = LoreEntries(with_line=(entry("a"), entry("b", book="Diary")), private={"Diary": "mara"})
    whole = replace(context_of(line(1), found=found, knowing=(mara,)), entries=entries)
    fresh = fresh_of(whole, COUNTER, None, ROOM)
    assert fresh.private == [
        ("mara", "- From the lore: text b"),
        ("mara", "- Known to this character alone (title 2): text 2"),
    ]
    assert fresh.recalled.startswith(
        f"{RECALLED_HEAD}\n- From the lore: text a\n- From the lore (title 1): text 1\n"
    )
    assert "text 3" in fresh.recalled
    assert "text b" not in fresh.recalled
    assert "text 2" not in fresh.recalled
    assert (fresh.size, len(fresh.hits), len(fresh.entries)) == (5, 3, 2)


def test_the_state_is_in_view_from_the_first_line_of_the_window_on() -> None:
    scene = Section("scene", "/state", "Place: the quay.", 40)
    stands = ((section_key(scene), scene.text),)
    path = [line(5, stands=stands), line(6, "assistant"), line(7)]

    def views(start: int | None) -> tuple[tuple[Section, ...], tuple[Section, ...]]:
        fresh = fresh_of(context_of(*path, tail=(scene,)), COUNTER, start, ROOM)
        return fresh.tail, fresh.in_view

    assert [views(start) for start in (None, 4, 5)] == [((), (scene,))] * 3
    assert views(6) == ((scene,), ())


# --- what is stored -----------------------------------------------------------------------------


def parts(fresh: Fresh, *, prefill: bool = False, **fields: Any) -> list[tuple[str, str, int, str]]:
    one: Any = SimpleNamespace(id="m")
    assembled: Any = SimpleNamespace(
        manifest=(ManifestEntry("history", "2 messages", 9),), tail=(), window_start=1
    )
    whole = replace(context_of(line(1), **fields.pop("of", {})), **fields)
    stored = record_of(turn_input(), one, whole, fresh, assembled, prefill=prefill)
    return [(part.section, part.source, part.tokens, part.note) for part in stored.manifest]


def test_a_manifest_names_all_parts_and_why_each_is_there() -> None:
    secret = hit(4, scope=cast_scope("mara"), title="")
    found = [hit(1), hit(2, "memory", title="Ines"), hit(3), secret]
    fresh = replace(record.NOTHING, hits=found[:2], entries=(entry("a", tokens=6.6),))
    entries = LoreEntries(
        fired=(entry("a", tokens=6.6), entry("b")), with_line=(entry("a", tokens=6.6), entry("b"))
    )
    listed = parts(
        fresh,
        of={"found": found},
        entries=entries,
        nearly=((hit(9, title="Old\nquay"), "too far"),),
        acted=Acted((Script(name="x", pattern="a", replacement="b"),), {"x": 2}),
    )
    assert listed == [
        ("model", "m", 0, ""),
        ("history", "2 messages", 9, ""),
        ("script", "x", 0, "changed 2 texts"),
        ("entry", f"{BOOK} / title a", 7, "fired"),
        ("entry", f"{BOOK} / title b", 0, "fired; already in view"),
        ("lore", "title 1", 7, "similar 0.12"),
        ("memory", "world", 7, "similar 0.12"),
        ("lore", "title 3", 7, f"similar 0.12; {IN_VIEW}"),
        ("lore", "world", 7, f"{WHY_KEPT}; {IN_VIEW}"),
        ("nearly", "lore 9 Old quay", 0, "left out, too far: similar 0.12"),
    ]
    assert ("lore", "title 1", 7, "similar 0.12") not in parts(fresh, of={"found": found}, prefill=True)
    assert [row[0] for row in parts(fresh, acted=Acted((), {"x": 2}))] == ["model", "history"]


def test_what_is_stored_with_a_line_is_what_it_was_given() -> None:
    one: Any = SimpleNamespace(id="m")
    scene = Section("scene", "/state", "Rain.", 40)
    assembled: Any = SimpleNamespace(manifest=(), tail=(scene,), window_start=4)
    mara = Character("mara", "Mara", "Keeps.")
    held = Held(EntryId(BOOK, "c"), "", Reason.DICE, key="bell")
    known = LoreEntries(timed=NO_EFFECTS, held=(held,))
    whole = context_of(line(1), speaker="mara", played=(mara,), variables={"n": "1"})
    fresh = replace(
        record.NOTHING, recalled="R", private=[("mara", "P")], hits=[hit(3)], entries=(entry("a"),)
    )
    stored = record_of(
        turn_input(), one, replace(whole, entries=known), fresh, assembled, prefill=False
    )
    assert stored.line is not None
    assert (stored.line.recalled, stored.line.private) == ("R", [("mara", "P")])
    assert (stored.line.recalled_ids, stored.line.entries) == ([3], [entry_key(entry("a"))])
    assert stored.line.stands == [("scene /state", "Rain.")]
    assert (stored.session_id, stored.line_id, stored.reply_id) == ("s", 3, 9)
    assert (stored.window_start, stored.speaker, stored.on_stage) == (4, "mara", ["mara"])
    assert (stored.variables, stored.lore_timed) == ({"n": "1"}, NO_EFFECTS)
    assert [(row.source, row.note) for row in stored.nearly] == [
        (f"{BOOK} / c", "'bell' was found; kept by: dice")
    ]
    set_by_entries = replace(whole, entries=LoreEntries(variables={"m": "2"}))
    stored = record_of(turn_input(), one, set_by_entries, fresh, assembled, prefill=False)
    assert stored.variables == {"m": "2"}


# --- what is shown ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cause", "key", "step", "told"),
    [
        (Cause.KEY, "bell", 0, "fired by 'bell'"),
        (Cause.KEY, "bell", 1, "fired by 'bell', through another entry"),
        (Cause.KEY, "", 0, "fired"),
        (Cause.CONSTANT, "bell", 1, "always"),
        (Cause.STICKY, "bell", 1, "stays"),
        (Cause.DECORATOR, "bell", 1, "by its decorator"),
        (Cause.REQUEST, "bell", 1, "recalled by meaning"),
    ],
)
def test_why_an_entry_fired(cause: Cause, key: str, step: int, told: str) -> None:
    assert record.why(entry("a", cause=cause, key=key, step=step)) == told


def test_what_kept_an_entry() -> None:
    def told(key: str, detail: str) -> str:
        return record.kept_by(Held(EntryId(BOOK, "a"), "", Reason.GROUP, key, detail))

    assert told("", "") == "kept by: group"
    assert told("bell", "of the tower") == "'bell' was found; kept by: group (of the tower)"
    assert record.named(EntryId("B", "7"), "Bell") == "B / Bell"
    assert record.named(EntryId("B", "7"), "") == "B / 7"


def test_watchers_are_shown_what_came_anew_and_of_secrets_the_heading() -> None:
    secret = entry("s", text="Secret: Ned rang it.")
    always = entry("c", cause=Cause.CONSTANT)
    entries = LoreEntries(fired=(always, entry("a"), secret), steady=(always,))
    found = [
        replace(hit(1, "memory", title="\nInes\nNed"), similarity=None),
        hit(2, scope=cast_scope("m")),
    ]
    event = recall_event("t", found, entries)
    assert event.content == "recalled 3 of lore, 1 of this story"
    told = [
        (item.kind, item.title, item.text, item.why, item.similarity) for item in event.metadata.items
    ]
    assert told == [
        ("lore", f"{BOOK} / title a", "text a", "fired", 0.0),
        ("lore", f"{BOOK} / title s", "", "fired", 0.0),
        ("memory", "Ines, Ned", "text 1", "recent", 0.0),
        ("lore", "title 2", "", WHY_KEPT, 0.123),
    ]  # fmt: skip
    assert recall_event("t", []).content == "recalled 0 of lore, 0 of this story"


@pytest.mark.parametrize(
    ("kind", "scope", "secret"),
    [("lore", "lore:w", False), ("lore", cast_scope("m"), True), ("memory", cast_scope("m"), False),
     ("memory", "memory:s", False)],
)  # fmt: skip
def test_what_a_character_alone_knows_is_a_secret(kind: str, scope: str, secret: bool) -> None:
    one = hit(1, kind, scope)
    assert record.is_kept(one) is secret
    assert record.reason(one) == (WHY_KEPT if secret else "similar 0.12")


# --- where entries go ---------------------------------------------------------------------------


def sorted_entries(*fired: Fired, private: dict[str, str] | None = None, **fields: Any) -> LoreEntries:
    rules = {
        one.id: SimpleNamespace(entry=Entry(uid=one.id.uid, **fields), decorators=NONE) for one in fired
    }
    library: Any = SimpleNamespace(by_id=rules)
    held = tuple(Held(EntryId(BOOK, str(n)), "", Reason.DICE) for n in range(60))
    return sorted_out(Outcome(fired=fired, held=held), library, private or {})


def test_entries_in_the_line_are_in_the_order_of_their_places_then_of_their_own() -> None:
    fired = [
        entry("note", position=Position.NOTE_TOP), entry("late", order=9.0),
        entry("after", position=Position.AFTER_CHARACTER),
        entry("early", order=2.0), entry("deep", position=Position.AT_DEPTH), entry("blank", text=" "),
        entry("out", position=Position.OUTLET, place={"outlet": " k "}),
    ]  # fmt: skip
    found = sorted_entries(*fired)
    assert [one.id.uid for one in found.with_line] == ["early", "late", "after", "note"]
    assert found.steady == ()
    assert found.outlets == {"k": "text out"}
    assert [one.id.uid for one in found.fired] == ["note", "late", "after", "early", "deep", "out"]
    assert len(found.held) == lore_entries.NEARLY_KEPT
    assert found.tokens == 0


@pytest.mark.parametrize(
    ("depth", "role", "inset"),
    [
        (0, Role.SYSTEM, Inset("[text a]", -1, "user")), (0, Role.ASSISTANT, Inset("text a", -1, "user")),
        (1, Role.USER, Inset("text a", 0, "user")), (3, Role.ASSISTANT, Inset("text a", 2, "assistant")),
        (3, Role.SYSTEM, Inset("[text a]", 2, "user")),
    ],
)  # fmt: skip
def test_an_entry_at_a_depth_is_one_message_higher_than_the_line(
    depth: int, role: Role, inset: Inset
) -> None:
    one = entry("a", position=Position.AT_DEPTH, place={"depth": depth, "role": role})
    assert sorted_entries(one).insets == (inset,)


def test_of_entries_at_one_depth_the_narrators_come_first() -> None:
    fired = [
        entry(role.name, position=Position.AT_DEPTH, place={"depth": 2, "role": role}) for role in Role
    ]
    assert [inset.text for inset in sorted_entries(*fired).insets] == [
        "text ASSISTANT", "text USER", "[text SYSTEM]"
    ]  # fmt: skip
    blank = entry("a", text=" ", position=Position.AT_DEPTH)
    assert sorted_entries(blank).insets == ()


@pytest.mark.parametrize(
    ("fields", "steady"),
    [
        ({}, True), ({"probability": 100}, True), ({"probability": 99}, False), ({"probability": 150}, True),
        ({"probability": 5, "use_probability": False}, True), ({"sticky": 1}, False), ({"cooldown": 1}, False),
        ({"delay": 1}, False), ({"groups": ("g",)}, False), ({"triggers": ("normal",)}, False),
        ({"character_filter": CharacterFilter()}, False),
    ],
)  # fmt: skip
def test_an_entry_comes_first_if_it_fires_with_every_line(fields: dict[str, Any], steady: bool) -> None:
    constant = entry("a", cause=Cause.CONSTANT)
    found = sorted_entries(constant, **fields)
    assert (found.steady, found.with_line) == (((constant,), ()) if steady else ((), (constant,)))
    for cause in set(Cause) - {Cause.CONSTANT}:
        assert sorted_entries(entry("a", cause=cause), **fields).steady == ()
    assert sorted_entries(constant, private={BOOK: "mara"}, **fields).steady == ()


@pytest.mark.parametrize(
    ("decorators", "steady"),
    [
        (Decorators(depth=3, reverse_depth=2, role=Role.USER, position="scenario"), True),
        (Decorators(dont_activate_after_match=True), False), (Decorators(is_greeting=0), False),
        (Decorators(exclude_keys=("bell",)), False), (Decorators(activate=True), False),
        (Decorators(disable_ui_prompt=("x",)), False),
    ],
)  # fmt: skip
def test_an_entry_whose_decorators_may_keep_it_comes_with_the_line(
    decorators: Decorators, steady: bool
) -> None:
    rule: Any = SimpleNamespace(entry=Entry(uid="a"), decorators=decorators)
    assert lore_entries._is_steady(rule, entry("a", cause=Cause.CONSTANT)) is steady


def test_what_was_given_is_known_again_by_its_book_its_number_and_its_text() -> None:
    keys = {
        entry_key(one) for one in (entry("a"), entry("b"), entry("a", book="C"), entry("a", text="z"))
    }
    assert len(keys) == 4
    assert entry_key(entry("a")) == entry_key(entry("a", order=7.0))
    assert entry_key(entry("a", text="\ud800")).startswith(f"{BOOK}.a#")

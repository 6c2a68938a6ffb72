"""Lorebooks in a story: what fires is in the prompt, once, where it belongs, and /why names it."""

from __future__ import annotations

from pathlib import Path

import trio
import trio.testing
from msgspec import structs

from flower.engine.lorebook.book import Book, Entry, Position, Role
from flower.engine.store.library import books
from flower.engine.store.library.books import Owner
from tests.engine_world import EngineWorld, Face, engine_world


async def shelve(
    world: EngineWorld, *entries: Entry, owner: Owner = Owner.WORLD, whose: str = "harbour"
) -> int:
    number = await world.database.write(books.add, Book(name="Quay", entries=entries), 1.0)
    await world.database.write(books.give, number, owner, whose)
    return number


def prompt_of(world: EngineWorld) -> str:
    """Returns the newest prompt as one text."""
    return "\n---\n".join(message.content for message in world.provider.completions[-1].messages)


async def answer(face: Face, command: str) -> str:
    """Returns what a command says."""
    before = len(face.events)
    await face.say_and_wait(command)
    return "\n".join(str(getattr(event, "content", "")) for event in face.events[before:])


BELL = Entry(uid="bell", comment="The bell", keys=("bell",), content="The bell is made of bone.")


async def test_an_entry_is_told_with_the_line_that_fires_it_and_stays_there(tmp_path: Path) -> None:
    """A second line that fires it tells nothing anew, and the first prompt's text is the next one's begin."""
    async with engine_world(tmp_path / "flower.db") as world:
        await shelve(world, BELL)
        face = await world.playing()
        await face.say_and_wait("I ring the bell.")
        first = prompt_of(world)
        assert first.count("made of bone") == 1
        await face.say_and_wait("I ring the bell again.")
        assert prompt_of(world).count("made of bone") == 1
        assert prompt_of(world).startswith(first)
        told = await answer(face, "/why")
        assert "Quay / The bell  fired by 'bell'; already in view" in told


async def test_what_always_fires_stands_in_the_stable_beginning(tmp_path: Path) -> None:
    """A constant entry is in the system message, the same in every prompt."""
    async with engine_world(tmp_path / "flower.db") as world:
        await shelve(world, Entry(uid="1", constant=True, content="{{user}} fears the sea."))
        face = await world.playing()
        await face.say_and_wait("Hello.")
        systems = [world.provider.completions[-1].messages[0].content]
        assert "the player fears the sea." in systems[0]
        await face.say_and_wait("And on.")
        assert world.provider.completions[-1].messages[0].content == systems[0]


async def test_an_entry_at_a_depth_moves_along(tmp_path: Path) -> None:
    """Depth 0 is below the newest line, depth 1 above it."""
    entries = [
        Entry(uid=str(depth), constant=True, position=Position.AT_DEPTH, depth=depth, content=text)
        for depth, text in ((0, "Below."), (1, "Above."))
    ]
    async with engine_world(tmp_path / "flower.db") as world:
        await shelve(world, *entries)
        face = await world.playing()
        for line in ("One.", "Two."):
            await face.say_and_wait(line)
            told = prompt_of(world)
            assert told.count("[Above.]") == told.count("[Below.]") == 1
            assert told.index("[Above.]") < told.index(line) < told.index("[Below.]")


async def test_a_role_at_a_depth_is_kept(tmp_path: Path) -> None:
    """An entry for the assistant is said by the assistant."""
    entry = Entry(
        uid="1", constant=True, position=Position.AT_DEPTH, depth=1, role=Role.ASSISTANT, content="Hm."
    )
    async with engine_world(tmp_path / "flower.db") as world:
        await shelve(world, entry)
        face = await world.playing()
        await face.say_and_wait("One.")
        said = [m.content for m in world.provider.completions[-1].messages if m.role == "assistant"]
        assert said[-1].endswith("Hm.")


async def test_an_outlet_is_told_only_where_it_is_asked_for(tmp_path: Path) -> None:
    """The author's note asks; without it nothing of the entry is in the prompt."""
    entry = Entry(
        uid="1", constant=True, position=Position.OUTLET, outlet="Mood", content="It smells of tar."
    )
    async with engine_world(tmp_path / "flower.db") as world:
        await shelve(world, entry)
        face = await world.playing()
        await face.say_and_wait("One.")
        assert "tar" not in prompt_of(world)
        await face.say("/note Mind: {{outlet::Mood}}")
        await face.say_and_wait("Two.")
        assert "Mind: It smells of tar." in prompt_of(world)


async def test_a_retry_fires_the_same(tmp_path: Path) -> None:
    """Dice follow from the line: of 40 entries at 50 % the same ones fire for each variant."""
    entries = [
        Entry(uid=str(n), keys=("bell",), content=f"Fact {n}.", probability=50) for n in range(40)
    ]
    async with engine_world(tmp_path / "flower.db") as world:
        await shelve(world, *entries)
        face = await world.playing()
        await face.say_and_wait("The bell!")
        first = prompt_of(world)
        assert 5 < first.count("Fact ") < 35
        await face.say_and_wait("/retry")
        assert prompt_of(world) == first


async def test_lasting_effects_follow_the_branch(tmp_path: Path) -> None:
    """An entry that stays for three messages does so below the line that fired it, not beside it."""
    stays = Entry(
        uid="1",
        keys=("bell",),
        content="Echo.",
        sticky=3,
        position=Position.AT_DEPTH,
        depth=0,
    )
    async with engine_world(tmp_path / "flower.db") as world:
        await shelve(world, stays)
        face = await world.playing()
        await face.say_and_wait("The bell!")
        await face.say_and_wait("Quiet.")
        assert "Echo." in prompt_of(world)
        assert "stays" in await answer(face, "/why")
        await face.say_and_wait("/undo")
        await face.say_and_wait("/undo")
        await face.say_and_wait("Nothing rings.")
        assert "Echo." not in prompt_of(world)


async def test_what_nearly_fired_is_told_on_request(tmp_path: Path) -> None:
    """The dice that kept an entry are named, and /why itself stays short."""
    async with engine_world(tmp_path / "flower.db") as world:
        await shelve(world, Entry(uid="1", comment="Never", keys=("bell",), content="x", probability=0))
        face = await world.playing()
        await face.say_and_wait("The bell!")
        assert "Never" not in await answer(face, "/why")
        assert "Quay / Never: 'bell' was found; kept by: dice" in await answer(face, "/why nearly")


async def test_a_trial_changes_nothing(tmp_path: Path) -> None:
    """/lore test names what a line would fire; the story and its effects stay as they were."""
    async with engine_world(tmp_path / "flower.db") as world:
        await shelve(world, Entry(uid="1", keys=("bell",), content="Echo.", sticky=9))
        face = await world.playing()
        assert "Quay / 1: fired by 'bell'" in await answer(face, "/lore test The bell!")
        await face.say_and_wait("Quiet.")
        assert "Echo." not in prompt_of(world)


async def test_a_book_is_switched_for_one_story(tmp_path: Path) -> None:
    """Off it is silent, on again it speaks; a book of nobody becomes the story's."""
    async with engine_world(tmp_path / "flower.db") as world:
        await shelve(world, BELL)
        face = await world.playing()
        await face.say("/lorebook off quay")
        await face.say_and_wait("The bell!")
        assert "bone" not in prompt_of(world)
        await face.say("/lorebook on quay")
        await face.say_and_wait("The bell!")
        assert "bone" in prompt_of(world)
        assert "*    1  Quay  (world harbour)" in await answer(face, "/lorebook list")
        await face.say("/lorebook off quay for world")
        assert "of nobody" in await answer(face, "/lorebook list")
        await face.say("/lorebook on 1")
        assert "(story " in await answer(face, "/lorebook list")


async def test_the_setting_bounds_what_is_told(tmp_path: Path) -> None:
    """With 30 tokens only the first of two entries fires, and no model hears of the setting."""
    entries = [
        Entry(uid=str(n), order=order, keys=("bell",), content=f"Fact {n} " + "word " * 12)
        for n, order in ((1, 10), (2, 20))
    ]
    async with engine_world(tmp_path / "flower.db") as world:
        await shelve(world, *entries)
        face = await world.playing()
        await face.say("/set lore_tokens 30")
        await face.say_and_wait("The bell!")
        assert "Fact 2" in prompt_of(world)
        assert "Fact 1" not in prompt_of(world)
        assert "budget" in await answer(face, "/why nearly")
        assert "lore_tokens" not in world.provider.completions[-1].params


async def test_an_entry_may_be_recalled_by_meaning(tmp_path: Path) -> None:
    """What recall finds of a book is told as the entry it is, whole and once, though no key was said."""
    entry = Entry(uid="1", keys=("zzz",), vectorized=True, content="The lighthouse burns green oil.")
    async with engine_world(tmp_path / "flower.db") as world:
        await shelve(world, entry)
        face = await world.playing()
        await face.say_and_wait("What of the lighthouse?")
        assert prompt_of(world).count("burns green oil") == 1
        assert "recalled by meaning" in await answer(face, "/why")


async def test_what_one_character_knows_stays_with_them(tmp_path: Path) -> None:
    """A character's own book fires when that character speaks."""
    async with engine_world(tmp_path / "flower.db") as world:
        await shelve(world, BELL, owner=Owner.CHARACTER, whose="mara")
        face = await world.playing()
        await face.say_and_wait("The bell!")
        assert "bone" not in prompt_of(world)
        await face.say("/character select mara")
        await face.say_and_wait("The bell!")
        assert "bone" in prompt_of(world)


async def test_a_synced_file_that_fires_is_told_once(tmp_path: Path) -> None:
    """Keys in a file's front matter fire it; recall, which finds it too, does not tell it again."""
    folder = tmp_path / "lore"
    folder.mkdir()
    (folder / "lamp.md").write_text("---\nkeys: lantern\n---\nThe lantern burns green oil.")
    async with engine_world(tmp_path / "flower.db") as world:
        services = structs.replace(world.engine.services, lore_roots=(tmp_path,))
        world.engine.use(services, world.engine.registry)
        face = await world.playing()
        await face.say_and_wait(f"/world sync_folder {folder}")
        while not await world.database.read(books.listed):
            await trio.testing.wait_all_tasks_blocked()
        await face.say_and_wait("I light the lantern.")
        assert prompt_of(world).count("burns green oil") == 1
        assert "folder:harbour / lamp: fired by 'lantern'" in await answer(face, "/lore test lantern")

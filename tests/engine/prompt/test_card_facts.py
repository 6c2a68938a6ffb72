"""What cards, lorebooks and other files ask for beside their texts, and that it is done."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import trio.testing

from flower.engine.assets.kinds import Character, DepthPrompt
from flower.engine.game.steering import Persona, Steering
from flower.engine.lorebook.book import Book
from flower.engine.prompt.books_at_hand import books_here
from flower.engine.prompt.direction import insets_of
from flower.engine.sessions.snapshot import quick_replies_of
from flower.engine.store import states, stories
from flower.engine.store.library import books, personas
from flower.engine.store.library.books import Owner
from flower.protocol.messages import ErrorEvent, SyncState
from tests import import_files
from tests.engine.prompt.test_macros import VALUES
from tests.engine_world import EngineWorld, Face, engine_world


def entry(content: str) -> dict[str, object]:
    return {"keys": ["bell"], "content": content, "extensions": {}, "enabled": True,
            "insertion_order": 1, "position": "after_char"}  # fmt: skip


async def ringing(world: EngineWorld, folder: Path, contents: list[str]) -> Face:
    """A story with a card whose lorebook has these entries, all for the word bell."""
    card = import_files.card(
        system_prompt="You are terse.",
        post_history_instructions="End with a question.",
        character_book={"entries": [entry(content) for content in contents], "extensions": {}},
    )
    path = import_files.write(folder / "ada.json", card)
    await world.engine.imports.importer.take(path, path.name)
    face = await world.face()
    await face.say("/character select ada")
    await face.say("/session new")
    return face


def sent(world: EngineWorld) -> str:
    return "\n".join(message.content for message in world.provider.completions[-1].messages)


async def test_an_entry_may_silence_prompts(tmp_path: Path) -> None:
    """Only while it fires, and only the prompts it names."""
    async with engine_world(tmp_path / "flower.db") as world:
        face = await ringing(world, tmp_path, ["@@disable_ui_prompt system_prompt\nDing."])
        await face.say_and_wait("I wait.")
        assert "You are terse." in sent(world)
        await face.say_and_wait("I ring the bell.")
        assert "Ding." in sent(world)
        assert "You are terse." not in sent(world)
        assert "End with a question." in sent(world)


async def test_an_entry_may_silence_what_comes_after_the_history(tmp_path: Path) -> None:
    async with engine_world(tmp_path / "flower.db") as world:
        face = await ringing(world, tmp_path, ["@@disable_ui_prompt post_history_instructions\nDing."])
        await face.say_and_wait("I ring the bell.")
        assert "End with a question." not in sent(world)
        assert "You are terse." in sent(world)


async def test_an_entry_may_belong_to_a_greeting(tmp_path: Path) -> None:
    """It fires in stories that began with that one; left and right change which that is."""
    async with engine_world(tmp_path / "flower.db") as world:
        face = await ringing(world, tmp_path, ["@@is_greeting 0\nFirst.", "@@is_greeting 1\nSecond."])
        await face.say("/variant 2")
        await face.say_and_wait("I ring the bell.")
        assert "Second." in sent(world)
        assert "First." not in sent(world)
        await face.say("/session new")
        await face.say_and_wait("I ring the bell.")
        assert "First." in sent(world)
        assert "Second." not in sent(world)
        assert not face.of(ErrorEvent)


def test_a_depth_prompt_has_a_role() -> None:
    """The character may say it; a system between messages is told from the player's side."""

    def role(name: str) -> str:
        prompt = DepthPrompt("Fog.", 4, name)
        return insets_of(Character("a", "A", "x", depth_prompt=prompt), VALUES)[0].role

    assert [role(name) for name in ("assistant", "user", "system")] == ["assistant", "user", "user"]


async def test_of_two_personas_of_one_name_the_bound_one_counts(tmp_path: Path) -> None:
    """Its lorebook holds, the other one's does not."""
    async with engine_world(tmp_path / "flower.db") as world:

        def here(db: sqlite3.Connection) -> list[str]:
            for title in ("walker", "sailor"):
                number = personas.put(db, "Wren", title, "", 1.0)
                book = books.add(db, Book(name=title), 1.0)
                books.give(db, book, Owner.PERSONA, str(number))
            personas.bind(db, number, "character", "mara")
            steered = Steering(persona=Persona("Wren"))
            held = books_here(db, story="s", world="", characters=["mara"], steered=steered)
            return [one.stored.name for one in held]

        assert await world.database.write(here) == ["sailor"]


async def test_a_group_gives_its_stories_their_cast(tmp_path: Path) -> None:
    """Also members who have said nothing yet."""
    async with engine_world(tmp_path / "flower.db") as world:
        importer = world.engine.imports.importer
        for name in ("Ada", "Bo", "Cy"):
            path = import_files.write(tmp_path / f"{name}.json", import_files.card(name))
            await importer.take(path, f"{name}.png")
        chat = import_files.chat(tmp_path / "2024-1-2.jsonl", [("Ada", "Hello."), ("You", "Hm.")])
        await importer.take(chat, chat.name)
        group = {"name": "All", "members": ["Ada.png", "Bo.png", "Cy.png", "gone.png"],
                 "chat_id": "2024-1-2", "chats": ["2024-1-2"]}  # fmt: skip
        path = import_files.write(tmp_path / "group.json", group)
        await importer.take(path, path.name)
        (story,) = await world.database.read(stories.sessions)
        steered = await world.database.read(states.steering, story.id)
        assert {story.character_id, *steered.cast.members} == {"ada", "bo", "cy"}


async def test_imported_quick_replies_are_ready(tmp_path: Path) -> None:
    """Those that are lines of a story; commands of another program are none."""
    async with engine_world(tmp_path / "flower.db") as world:
        path = tmp_path / "set.json"
        path.write_text(json.dumps({"version": 2, "name": "Set", "qrList": [
            {"label": "Look", "message": "I look\naround."}, {"label": "Cut", "message": "/cut 0"}]}))  # fmt: skip
        await world.engine.imports.importer.take(path, path.name)
        face = await world.playing()
        await face.say("/sync")
        await trio.testing.wait_all_tasks_blocked()
        shown = face.of(SyncState)[-1].metadata.quick_replies
        assert [(one.name, one.text) for one in shown] == [("Look", "I look around.")]
    assert quick_replies_of([("x" * 99, "y"), ("", "z"), ("a", "b" * 9_999)])[0].text == "y"

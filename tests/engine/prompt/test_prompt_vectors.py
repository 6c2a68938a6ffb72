"""Where lore stands in a whole prompt, compared with what the reference implementation sent.

Only the order of messages and lore is compared: our own words, and where a character's fields stand, are others.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from flower.engine.store import stories
from flower.engine.store.library import books
from flower.engine.store.library.books import Owner
from tests import import_files
from tests.engine_world import engine_world
from tests.paths import DOCS, VECTORS

FILE = json.loads((VECTORS / "prompts" / "chat_messages.json").read_text())
PAGE = DOCS / "lorebooks.md"
# What fires otherwise than at a depth is told with the line that fired it; the page has the reasons.
DIFFERENT = {
    "prompt-002", "prompt-015", "prompt-018", "prompt-021", "prompt-023", "prompt-025", "prompt-029",
}  # fmt: skip
SAID = re.compile(
    r"Greeting line\.|(?:First|Second) (?:question|answer)\.|Tell me of the key\.|It is\b|Hidden line\.|NOTE|LORE[\w ]*"
)


def order(messages: list[str]) -> list[str]:
    """Returns what is said in a prompt, in its order, each once; the examples are no part of it."""
    return list(dict.fromkeys(found.strip() for found in SAID.findall("\n".join(messages))))


async def told(case: dict[str, Any], folder: Path) -> list[str]:
    """Returns the messages that we send in the situation of a case."""
    *before, newest = case["chat"]
    spoken = before if newest["is_user"] else case["chat"]
    note, header = case.get("authors_note"), {}
    if note:
        header = {
            "note_prompt": note["text"],
            "note_depth": note["depth"],
            "note_interval": note["interval"],
        }
    rows: list[dict[str, Any]] = [{"chat_metadata": header}]
    rows += [{"is_system": False, "send_date": "2024-01-02T03:00:00.000Z", **line} for line in spoken]
    entries = {str(one["uid"]): {**FILE["entry_defaults"], **one} for one in case["entries"]}
    card = {
        **import_files.card("Ines")["data"],
        **FILE["card"],
        "name": "Ines",
        "alternate_greetings": [],
    }
    card |= {"extensions": {}, "creator_notes": ""}
    chat = folder / "chat.jsonl"
    chat.write_text("\n".join(json.dumps(row) for row in rows))
    book = import_files.write(folder / "Book.json", {"entries": entries})
    async with engine_world(folder / "flower.db") as world:
        for path in (import_files.write(folder / "Ines.json", card), chat, book):
            await world.engine.imports.importer.take(path, path.name)
        (story,) = await world.database.read(stories.sessions)
        for listed in await world.database.read(books.listed):
            await world.database.write(books.give, listed.id, Owner.STORY, story.id)
        face = await world.face()
        await face.say(f"/session continue {story.id}")
        if newest["is_user"]:
            await face.say_and_wait(newest["mes"])
        else:
            await face.say("/continue")
            await world.engine.turns.wait_idle()
        return [message.content for message in world.provider.completions[-1].messages]


@pytest.mark.parametrize("case", FILE["cases"], ids=lambda case: case["id"])
async def test_lore_stands_where_it_did(case: dict[str, Any], tmp_path: Path) -> None:
    expected = order([message["content"] for message in case["expect"]["messages"]])
    found = order(await told(case, tmp_path))
    assert set(found) >= set(expected) - {"LORE null one", "NOTE"}
    assert (found != expected) == (case["id"] in DIFFERENT), (found, expected)


def test_each_difference_is_in_the_page() -> None:
    """With its reason."""
    rows = re.findall(r"prompt-\d{3}(?:, -\d{3})*", PAGE.read_text())
    assert {f"prompt-{number}" for row in rows for number in re.findall(r"\d{3}", row)} == DIFFERENT

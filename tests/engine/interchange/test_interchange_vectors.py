"""What a reference implementation makes of files, against what we make of them.

Our values are compared with our reading of what the reference stored, so that a form of writing does not
matter, only what it says. ``DIFFERENT`` are the cases in which we mean to differ, each with its reason.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from msgspec import structs

from flower.engine.interchange import (
    book_reader,
    book_writer,
    card_writer,
    cards,
    chat_tree,
    pictures,
    sillytavern_chats,
)
from flower.engine.interchange.reader import read
from flower.engine.interchange.values import Card, Chat, ImportedMessage
from flower.engine.lorebook.book import Book
from flower.errors import ImportFileError
from tests.engine.interchange.test_interchange_table import bare_book
from tests.paths import VECTORS

INPUTS = VECTORS / "imports" / "inputs"
FILES = VECTORS / "files"

DIFFERENT = {
    "cards-017": "a name keeps the signs that file names may not have: our files have names of their own",
    "cards-018": "a card without a name is read and takes the file's name: the rest of it is whole",
    "chat_files-002": "the reference's reader of Character.AI histories throws; ours reads them",
    "chat_files-006": "lines without names still say who is the player",
    "lore_files-006": "the reference reads no standalone lorebook V3; the specification has one",
    "b2w-015": "two entries that would get one number: both are kept",
    "b2w-028": "entries as an object are read like entries in a list",
}


def cases(path: str) -> list[Any]:
    found = json.loads((VECTORS / path).read_text())["cases"]
    return [pytest.param(case, id=case["id"]) for case in found]


def read_input(case: dict[str, Any], me: str = "") -> Any:
    name, _, _ = case["input"].rpartition(".")
    return read((INPUTS / case["input"]).read_bytes(), name, me)


# --- cards --------------------------------------------------------------------------------------


def comparable(card: Card) -> dict[str, Any]:
    """Returns what a card says to a player and a model; the reference fills in switches of its own."""
    left_out = (
        "source",
        "extensions",
        "picture",
        "assets",
        "talkativeness",
        "book",
        "created",
        "modified",
    )
    fields = {name: getattr(card, name) for name in card.__struct_fields__ if name not in left_out}
    return fields | {"book": bare_book(structs.replace(card.book, name="")) if card.book else None}


@pytest.mark.parametrize("case", cases("imports/cards.json"))
def test_cards_are_what_the_reference_stores(case: dict[str, Any]) -> None:
    different = case["id"] in DIFFERENT
    if not case["accepted"]:
        if different:
            assert read_input(case).cards
        else:
            with pytest.raises(ImportFileError):
                read_input(case)
        return
    card = read_input(case).cards[0]
    reference = cards.read(case["stored_card"])
    if different:
        reference = structs.replace(reference, name=card.name)
    if case["input"].endswith(
        ".byaf"
    ):  # entries without keys for a switch are on in ours: order and place
        card = structs.replace(card, book=None)
        reference = structs.replace(reference, book=None)
    assert comparable(card) == comparable(reference)


def test_a_backyard_archive_has_the_reference_s_lore_and_chat() -> None:
    (case,) = (p.values[0] for p in cases("imports/cards.json") if p.values[0]["input"] == "card.byaf")
    found = read_input(case)
    (ours,) = found.cards[0].book.entries
    (theirs,) = case["stored_card"]["data"]["character_book"]["entries"]
    assert list(ours.keys) == theirs["keys"]
    assert (ours.content, ours.order, ours.enabled) == (theirs["content"], 0, True)
    saved = sillytavern_chats.read(case["chats"][0])[1]
    said = [(m.role, tuple(v.text for v in m.variants), m.chosen) for m in found.chats[0].messages]
    meant = [
        (m.role, tuple(v.text.replace("{user}", "{{user}}") for v in m.variants), m.chosen)
        for m in saved.messages
    ]  # the reference leaves a macro of the archive in the greeting
    assert said == [(role, tuple(t.replace("{{{", "{{").replace("}}}", "}}") for t in texts), chosen)
                    for role, texts, chosen in meant]  # fmt: skip


# --- lorebooks ----------------------------------------------------------------------------------


@pytest.mark.parametrize("case", cases("imports/lore_files.json"))
def test_lorebooks_are_what_the_reference_stores(case: dict[str, Any]) -> None:
    book = read_input(case).books[0]
    if not case["accepted"]:
        assert case["id"] in DIFFERENT
        assert book.entries
        return
    reference = book_reader.read(case["saved_world_info"], book.name)
    if case["input"] == "lore_agnai.json":
        assert agnai(book) == agnai(reference)
    else:
        assert book == reference


def agnai(book: Book) -> list[tuple[Any, ...]]:
    """Returns what is the same in both: we turn wildcards into patterns, the reference keeps stars."""
    return [
        (entry.comment, entry.content, entry.order, entry.enabled, entry.position, len(entry.keys))
        for entry in book.entries
    ]


def same_entries(ours: Book, theirs: Book) -> bool:
    def facts(book: Book) -> dict[str, Any]:
        return {
            entry.uid: structs.replace(
                entry, source={}, name="", priority=None, use_regex=False, order=entry.order or 0
            )
            for entry in book.entries
        }

    return facts(ours) == facts(theirs)


@pytest.mark.parametrize("case", cases("conversions/book_to_world_info.json"))
def test_books_of_cards_become_world_info_as_in_the_reference(case: dict[str, Any]) -> None:
    if case.get("fails"):
        book = book_reader.character_book(case["character_book"])
        assert (book is not None) == (case["id"] in DIFFERENT)
        return
    book = book_reader.character_book(case["character_book"])
    assert book is not None
    if case["id"] in DIFFERENT:
        assert len(book.entries) == 2 > len(case["world_info_entries"])
        return
    reference = book_reader.read({"entries": case["world_info_entries"]})
    assert same_entries(book, reference)
    written = json.loads(book_writer.world_info(book))["entries"]
    assert written.keys() == case["world_info_entries"].keys()
    assert same_entries(book_reader.read({"entries": written}), reference)


@pytest.mark.parametrize("case", cases("conversions/world_info_to_book.json"))
def test_world_info_becomes_the_book_of_a_card_as_in_the_reference(case: dict[str, Any]) -> None:
    book = book_reader.read(case["world_info"])
    ours, theirs = book_writer.character_book(book)["entries"], case["character_book"]["entries"]
    assert [entry["id"] for entry in ours] == [entry["id"] for entry in theirs]
    for our, their in zip(ours, theirs, strict=True):
        assert (our["keys"], our["content"], our["enabled"]) == (
            their["keys"], their["content"], their["enabled"],
        )  # fmt: skip
        # What the reference leaves out, a reader fills in with the same.
        assert set(their["extensions"]) <= set(our["extensions"]) | {"display_index"}
    assert book_reader.read({"entries": ours}).entries == tuple(
        structs.replace(entry, source=our) for entry, our in zip(book.entries, ours, strict=True)
    )


# --- chats --------------------------------------------------------------------------------------


def told(messages: tuple[ImportedMessage, ...], player: str, character: str) -> list[tuple[Any, ...]]:
    names = {"user": player, "assistant": character}
    return [
        (m.role, m.name or names[m.role], tuple(v.text for v in m.variants), m.chosen, m.hidden)
        for m in messages
    ]


@pytest.mark.parametrize("case", cases("imports/chat_files.json"))
def test_chats_are_what_the_reference_stores(case: dict[str, Any]) -> None:
    (chat,) = read_input(case).chats
    if not case["accepted"]:
        assert case["id"] in DIFFERENT
        assert chat.messages
        return
    reference = sillytavern_chats.read(case["saved_text"][0])[1]
    assert told(chat.messages, case["user"], case["char"]) == told(
        reference.messages, case["user"], case["char"]
    )


# --- files --------------------------------------------------------------------------------------


def summaries() -> list[Any]:
    listed = json.loads((FILES / "manifest.json").read_text())["files"]
    return [pytest.param(item, id=item["file"]) for item in listed if "summary" in item]


@pytest.mark.parametrize("item", summaries())
def test_chats_of_the_reference_are_read_as_it_says_and_written_byte_for_byte(
    item: dict[str, Any],
) -> None:
    data = (FILES / item["file"]).read_bytes()
    (chat,) = read(data, "chat").chats
    for message, meant in zip(chat.messages, item["summary"]["messages"], strict=True):
        variant = message.variants[message.chosen]
        assert (message.name, message.role == "user", message.hidden) == (
            meant["name"], meant["player"], meant["hidden"],
        )  # fmt: skip
        assert (variant.text, variant.reasoning) == (meant["mes"], meant["reasoning"])
        assert (len(message.variants), message.chosen) == (meant["swipes"] or 1, meant["swipe_id"] or 0)
    assert list(sillytavern_chats.write_tree(chat, "chat")) == [("chat", data)]


def test_a_chat_and_its_branch_become_one_tree_and_two_files_again() -> None:
    names = [
        json.loads((FILES / "manifest.json").read_text())["files"][index]["original_name"]
        for index in (4, 5)
    ]
    paths = [FILES / "chats" / name for name in ("corvin_solo.jsonl", "corvin_branch.jsonl")]
    chats = [
        read(path.read_bytes(), name.removesuffix(".jsonl")).chats[0]
        for path, name in zip(paths, names, strict=True)
    ]
    (tree,) = chat_tree.merge(chats[::-1])
    assert len(tree.messages) == 11 + 2  # five are common, two are the branch's own
    assert [ending.name for ending in tree.endings] == [name.removesuffix(".jsonl") for name in names]
    written = dict(sillytavern_chats.write_tree(tree, "x"))
    for name, chat in zip(names, chats, strict=True):
        again = read(written[name.removesuffix(".jsonl")]).chats[0]
        assert said(again) == said(chat)


def said(chat: Chat) -> list[tuple[Any, ...]]:
    return [(m.role, m.name, m.text, m.hidden, len(m.variants)) for m in chat.messages]


def test_a_world_info_file_of_the_reference_is_written_byte_for_byte() -> None:
    data = (FILES / "worlds" / "Saltmere atlas.json").read_bytes()
    assert book_writer.world_info(read(data, "Saltmere atlas").books[0]) == data


@pytest.mark.parametrize("name", ["corvin.export", "corvin.stored"])
def test_a_card_of_the_reference_changes_by_one_field_of_the_specification(name: str) -> None:
    """V3 wants ``group_only_greetings``; nothing else may differ, the picture least of all."""
    data = (FILES / "cards" / f"{name}.png").read_bytes()
    written = card_writer.card_png(read(data).cards[0], data)
    before, after = dict(pictures.texts(data, ("ccv3",))), dict(pictures.texts(written, ("ccv3",)))
    one, other = (card_reader_object(text["ccv3"]) for text in (before, after))
    assert other["data"].pop("group_only_greetings") == []
    assert other == one
    place = data.index(b"IEND") - 4
    assert written.startswith(data[: data.index(b"tEXt") - 4])
    assert written.endswith(data[place:])


def card_reader_object(text: bytes) -> dict[str, Any]:
    return pictures.card_object(text)

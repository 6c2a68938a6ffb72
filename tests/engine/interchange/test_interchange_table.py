"""Every kind of file: is it read, does it come back equal, is what we have no use for kept."""

from __future__ import annotations

import pytest
from msgspec import structs

from flower.engine.interchange import book_writer, card_writer, flower_story, sillytavern_chats
from flower.engine.interchange.reader import read
from flower.engine.interchange.values import Card, Chat, Kind
from flower.engine.lorebook.book import Book
from tests.interchange_files import UNKNOWN, files
from tests.paths import DOCS

PAGE = DOCS / "import.md"
BEGIN, END = (
    "<!-- kinds: written by tests/engine/interchange/test_interchange_table.py -->\n",
    "<!-- end of kinds -->\n",
)
PRESETS = (Kind.SAMPLER_PRESET, Kind.INSTRUCT_PRESET, Kind.CONTEXT_PRESET, Kind.PRESETS)
ONLY_READ = (Kind.GROUP, Kind.SETTINGS, Kind.QUICK_REPLIES, Kind.SCRIPTS, *PRESETS)
AS_THEY_WERE = (Kind.GROUP, Kind.SCRIPTS)  # kept as the file alone


def bare_book(book: Book | None) -> Book | None:
    """Returns a book without the objects it was read from: other kinds have other ones."""
    if book is None:
        return None
    entries = tuple(structs.replace(entry, source={}) for entry in book.entries)
    return structs.replace(book, source={}, entries=entries)


def bare_card(card: Card) -> Card:
    return structs.replace(
        card, source={}, extensions={}, picture=None, assets=(), book=bare_book(card.book)
    )


def written_cards(card: Card, original: bytes | None) -> list[bytes]:
    return [
        card_writer.card_json(card, "v2"),
        card_writer.card_json(card, "v3"),
        card_writer.card_png(card, original),
        card_writer.card_charx(card, original),
    ]


def opened(data: bytes) -> bytes:
    """Returns a card's JSON, wherever it stands, as text that can be looked through."""
    return card_writer.card_json(read(data).cards[0], "v3")


def cards_return(card: Card, original: bytes | None) -> tuple[bool, bool]:
    written = written_cards(card, original)
    equal = all(bare_card(read(data).cards[0]) == bare_card(card) for data in written)
    return equal, all(UNKNOWN.encode() in opened(data) for data in written)


def books_return(book: Book) -> tuple[bool, bool]:
    written = (book_writer.world_info(book), book_writer.lorebook_v3(book))
    equal = all(bare_book(read(data, book.name).books[0]) == bare_book(book) for data in written)
    return equal, all(UNKNOWN.encode() in data for data in written)


def chats_return(chat: Chat) -> tuple[bool, bool]:
    data = "".join(flower_story.write(chat)).encode()
    for name, lines in sillytavern_chats.write_tree(chat, chat.title or "chat"):
        again = read(lines, name).chats[0]
        assert [message.text for message in again.messages], name
    return read(data).chats[0] == chat, UNKNOWN.encode() in data


def judged(kind: Kind, data: bytes) -> tuple[bool, bool, bool]:
    """Returns whether a file is read as what it is, comes back equal, and loses nothing."""
    found = read(data, "file")
    alone = data if kind is not Kind.ARCHIVE else None  # the files beside a card are not the card's
    results: list[tuple[bool, bool]] = [cards_return(card, alone) for card in found.cards]
    results += [books_return(book) for book in found.books]
    results += [chats_return(chat) for chat in found.chats]
    if kind in ONLY_READ:
        results.append((True, UNKNOWN in repr(found) or kind in AS_THEY_WERE))
    kept = any(keeps for _, keeps in results)  # one of the parts has it
    return found.kind is kind, all(equal for equal, _ in results), kept


def table(rows: dict[Kind, tuple[bool, bool, bool]]) -> str:
    def mark(value: bool) -> str:
        return "yes" if value else "no"

    lines = ["| kind | imports | round-trips | keeps unknown data |", "| --- | --- | --- | --- |"]
    for kind, (imports, returns, keeps) in rows.items():
        back = "only read" if kind in ONLY_READ else mark(returns)
        kept = "nothing unknown in it" if kind is Kind.FLOWER_STORY else mark(keeps)
        lines.append(f"| {kind.value} | {mark(imports)} | {back} | {kept} |")
    return "\n".join(lines) + "\n"


def test_a_file_of_every_kind_is_there() -> None:
    """A new kind cannot be forgotten here."""
    assert set(files()) == set(Kind)


@pytest.mark.parametrize("kind", Kind)
def test_every_kind_is_read_comes_back_and_loses_nothing(kind: Kind) -> None:
    imports, returns, keeps = judged(kind, files()[kind])
    assert imports
    assert returns
    assert keeps or kind is Kind.FLOWER_STORY


def test_the_page_has_the_table() -> None:
    """``-s`` shows it; the page is corrected by hand from what this says."""
    written = table({kind: judged(kind, data) for kind, data in files().items()})
    print(f"\n{written}")
    page = PAGE.read_text()
    assert BEGIN + written + END in page

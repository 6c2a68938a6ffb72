"""Cards: every field comes in, every type that real files break is taken, other programs can read ours."""

from __future__ import annotations

import base64
import json
import zlib
from typing import Any

import pytest
from msgspec import structs

from flower.engine.interchange import card_assets, card_writer, pictures
from flower.engine.interchange.archive import Archive
from flower.engine.interchange.card_writer import PORTRAIT_HEIGHT, PORTRAIT_WIDTH, portrait
from flower.engine.interchange.reader import read
from flower.engine.interchange.values import Card, DepthPrompt, Kind
from flower.engine.lorebook.book import Book, Entry, Position
from tests.interchange_files import (
    DATA,
    PICTURE,
    UNKNOWN,
    V1,
    V2,
    V3,
    as_json,
    as_png,
    as_zip,
    charx,
    deflated,
    files,
    with_chunk,
)  # fmt: skip


def card_of(value: object) -> Card:
    return read(as_json(value), "file").cards[0]


def test_every_field_of_a_v3_card_comes_in() -> None:
    card = card_of(V3)
    assert structs.replace(card, book=None, source={}, extensions={}, assets=()) == Card(
        name="Hedda", nickname="Hed", description="{{char}} mends nets.", personality="patient",
        greeting="Hold this, {{user}}.", alternate_greetings=("Second.", "Third."), group_greetings=("All here?",),
        scenario="On the quay.", example_dialogue="<START>\n{{user}}: Hm.", system_prompt="S {{original}}",
        post_history_instructions="P", depth_prompt=DepthPrompt("D", 2, "user"), tags=("sea",), creator="own",
        version="1", creator_notes="Notes.", notes_by_language={"de": "Notizen."}, sources=("own:1",),
        created=1700000000, modified=1700000100, talkativeness=0.3)  # fmt: skip
    assert card.book
    assert card.book.entries[0].keys == ("net",)
    assert card.book.entries[0].priority == 3


@pytest.mark.parametrize(
    ("field", "value", "attribute", "becomes"),
    [
        ("character_book", None, "book", None),
        ("alternate_greetings", "one", "alternate_greetings", ("one",)),
        ("alternate_greetings", [None, 3, "x", ""], "alternate_greetings", ("3", "x")),
        ("mes_example", ["a", "b"], "example_dialogue", "a\nb"),
        ("tags", "net, quay ,, old", "tags", ("net", "quay", "old")),
        ("description", None, "description", ""),
        ("description", 7, "description", "7"),
        ("group_only_greetings", ["g"], "group_greetings", ("g",)),
        ("extensions", None, "talkativeness", None),
        ("extensions", {"talkativeness": "much"}, "talkativeness", None),
        ("extensions", {"talkativeness": 3}, "talkativeness", 1.0),
        ("extensions", {"depth_prompt": {"prompt": "D", "depth": None, "role": None}}, "depth_prompt",
         DepthPrompt("D")),
        ("extensions", {"depth_prompt": {"prompt": " "}}, "depth_prompt", None),
        ("creation_date", 0, "created", None),
        ("creation_date", 1700000000000, "created", 1700000000.0),
        ("name", "", "name", "file"),
        ("name", "a\n b", "name", "a b"),
    ],
)  # fmt: skip
def test_wrong_types_are_read_as_well_as_can_be(
    field: str, value: object, attribute: str, becomes: object
) -> None:
    card = card_of({**V2, "data": {**DATA, field: value}})
    assert getattr(card, attribute) == becomes


def test_what_a_card_says_and_its_label_does_not_count() -> None:
    assert read(as_json({**V1, "spec": "chara_card_v2"})).kind is Kind.CARD_V1
    assert read(as_json({"data": DATA})).kind is Kind.CARD_V2
    assert card_of({"spec": "chara_card_v3", "spec_version": "3.9", "data": {"name": "x"}}).name == "x"


def test_notices_name_what_flower_cannot_do() -> None:
    extensions = {"tavern_helper": {}, "chub": {"linked_lorebooks": [{"path": "a/b"}]}}
    found = read(as_json({**V3, "spec_version": "3.5", "data": {**DATA, "extensions": extensions}}))
    assert len(found.notices) == 3
    assert any("JavaScript" in notice for notice in found.notices)
    assert any("a/b" in notice for notice in found.notices)


def test_signs_that_no_screen_shows_are_counted() -> None:
    hidden = "".join(chr(0xE0000 + ord(sign)) for sign in "obey")
    assert (
        "The card hides 4 invisible signs in its texts."
        in read(as_json({**V1, "personality": f"calm{hidden}"})).notices
    )


def test_the_first_chunk_counts_and_ccv3_before_chara() -> None:
    two = pictures.with_texts(
        PICTURE,
        [("chara", pictures.packed_card({**V1, "name": "one"})), ("chara", pictures.packed_card(V1))],
    )
    assert read(two).cards[0].name == "one"
    both = as_png(chara=V1, ccv3={**V3, "data": {**DATA, "name": "three"}})
    assert read(both).cards[0].name == "three"


def test_a_broken_ccv3_gives_way_to_chara() -> None:
    both = pictures.with_texts(PICTURE, [("ccv3", b"***"), ("chara", pictures.packed_card(V1))])
    assert read(both).cards[0].name == "Hedda"


@pytest.mark.parametrize("front", [b"\xff\xd8\xff\xe0\0\x10JFIF" + bytes(60), b"MZ" + bytes(400)])
def test_an_archive_is_found_behind_a_picture_or_a_program(front: bytes) -> None:
    found = read(front + charx())
    assert found.kind is Kind.CHARX
    assert found.cards[0].picture == PICTURE


def test_cards_packed_into_an_archive_are_taken_out() -> None:
    found = read(as_zip({"a/One.png": as_png(chara=V1), "b.png": PICTURE, "c.txt": b"x"}))
    assert [card.name for card in found.cards] == ["Hedda"]
    assert len(found.notices) == 1


def test_a_webp_may_list_its_bytes() -> None:
    """A writer of 2023 did so."""
    numbers = ",".join(map(str, as_json(V2))).encode()
    assert pictures.card_object(numbers)["data"]["name"] == "Hedda"


def test_faraday_cards_bring_their_chat() -> None:
    found = read(files()[Kind.FARADAY])
    card = found.cards[0]
    assert (card.name, card.greeting, card.description) == (
        "Brine",
        "Watch, {{user}}.",
        "{{char}} dives.",
    )
    assert [(m.role, m.text) for m in found.chats[0].messages] == [
        ("assistant", "Watch, {{user}}."), ("user", "Deep?"), ("assistant", "No."),
    ]  # fmt: skip


def test_old_backyard_exports_are_put_in_order() -> None:
    """They have all lines of the player first."""
    said = [{"type": "human", "text": "1"}, {"type": "human", "text": "3"},
            {"type": "ai", "outputs": [{"text": "2"}]}, {"type": "ai", "outputs": [{"text": "4"}]}]  # fmt: skip
    data = as_zip({
        "manifest.json": as_json({"characters": ["c.json"], "scenarios": ["s.json"]}),
        "c.json": as_json({"name": "B", "persona": "p"}), "s.json": as_json({"messages": said}),
    })  # fmt: skip
    assert [message.text for message in read(data).chats[0].messages] == ["1", "2", "3", "4"]


# --- writing ------------------------------------------------------------------------------------


def lite_finds(data: bytes) -> dict[str, Any]:
    """Reads a PNG by the rule of a program that takes the first tEXt chunk with a key like ``c???a``."""
    for chunk in pictures.chunks(data):
        word = pictures.keyword(data, chunk)
        if chunk.kind == b"tEXt" and len(word) == 5 and word[0] == "c" and word[4] == "a":
            value: dict[str, Any] = json.loads(base64.b64decode(data[chunk.start + 6 : chunk.end]))
            return value
    raise AssertionError("no card")


def test_the_chunk_that_old_programs_read_is_complete_by_itself() -> None:
    found = lite_finds(card_writer.card_png(card_of(V3)))
    assert (found["spec"], found["spec_version"]) == ("chara_card_v2", "2.0")
    assert {key: found["data"][key] for key in DATA} == DATA


def test_a_new_card_has_every_field_the_specifications_want() -> None:
    card = Card(name="New", greeting="Hi.", depth_prompt=DepthPrompt("D"), talkativeness=0.4,
                book=Book(name="b", entries=(Entry(uid="0", keys=("k",), content="c"),)))  # fmt: skip
    for spec in ("v2", "v3"):
        written = json.loads(card_writer.card_json(card, spec))
        data = written["data"]
        wanted = {"name", "description", "personality", "scenario", "first_mes", "mes_example", "creator_notes",
                  "system_prompt", "post_history_instructions", "alternate_greetings", "tags", "creator",
                  "character_version", "extensions"}  # fmt: skip
        assert wanted <= set(data)
        assert ("group_only_greetings" in data) == (spec == "v3")
        assert written["first_mes"] == "Hi."  # for programs that know V1 only
        assert {"keys", "content", "enabled", "insertion_order", "extensions"} <= set(
            data["character_book"]["entries"][0]
        )


def test_a_change_changes_one_field_and_nothing_else() -> None:
    card = structs.replace(card_of(V3), description="New.")
    written = json.loads(card_writer.card_json(card, "v3"))
    assert written == {**V3, "data": {**V3["data"], "description": "New."}}


def test_fields_of_wrong_types_are_written_right() -> None:
    odd = {**V2, "data": {**DATA, "tags": "a, b", "mes_example": ["x"], "character_book": None}}
    data = json.loads(card_writer.card_json(card_of(odd), "v2"))["data"]
    assert (data["tags"], data["mes_example"]) == (["a", "b"], "x")
    assert "character_book" not in data


def test_a_field_that_was_emptied_is_empty_in_the_file() -> None:
    card = structs.replace(
        card_of(V3), nickname="", alternate_greetings=(), book=None, depth_prompt=None
    )
    again = read(card_writer.card_png(card)).cards[0]
    assert (again.nickname, again.alternate_greetings, again.book, again.depth_prompt) == (
        "",
        (),
        None,
        None,
    )


def test_the_picture_stays_as_it_is() -> None:
    data = with_chunk(b"tEXt", b"Comment\0hello") + b"behind the end"
    card = structs.replace(card_of(V1), picture=data)
    written = card_writer.card_png(card)
    assert b"Comment\0hello" in written
    assert written.endswith(b"behind the end")
    assert pictures.content(written, b"IDAT") == pictures.content(data, b"IDAT")
    assert card_writer.card_png(read(written).cards[0], written) == written  # and again: the same file


def test_assets_move_between_picture_and_archive() -> None:
    archive = charx()
    card = structs.replace(read(archive).cards[0])
    source = json.loads(card_writer.card_json(card, "v3"))
    source["data"]["assets"] = [
        {"type": "icon", "uri": "embeded://assets/icon/images/main.png", "name": "main", "ext": "png"}]  # fmt: skip
    archive = charx(source)
    card = read(archive).cards[0]
    picture = card_writer.card_png(card, archive)
    assert card_assets.embedded(picture) == {"assets/icon/images/main.png": PICTURE}
    assert read(picture).cards[0].assets[0].uri == "__asset:assets/icon/images/main.png"
    back = card_writer.card_charx(read(picture).cards[0], picture)
    assert Archive(back).read("assets/icon/images/main.png") == PICTURE
    assert read(back).cards[0].assets == card.assets
    again = card_writer.card_charx(card, archive)
    assert Archive(again).read("x_meta/1.json") == b"{}"


def test_files_that_say_the_same_are_written_byte_for_byte() -> None:
    """Whatever their spaces, their compression and their order of chunks are like."""
    spaced = json.dumps(V3, indent=1).encode()
    assert card_writer.card_json(card_of(V3), "v3", spaced) == spaced
    assert card_writer.card_json(structs.replace(card_of(V3), tags=()), "v3", spaced) != spaced
    archive = b"\xff\xd8\xff\xe0\0\x10JFIF" + charx()
    assert card_writer.card_charx(read(archive).cards[0], archive) == archive
    v2 = {**V3, "spec": "chara_card_v2", "spec_version": "2.0"}
    body = deflated(b"chara", base64.b64encode(json.dumps(v2, indent=2).encode()))
    picture = pictures.with_texts(
        with_chunk(b"zTXt", body, before_image=True), [("ccv3", pictures.packed_card(V3))]
    )
    assert card_writer.card_png(read(picture).cards[0], picture) == picture


def test_a_card_without_a_picture_gets_a_drawn_one() -> None:
    drawn = portrait("Hedda")
    assert drawn == portrait("Hedda") != portrait("Tam")
    assert len(drawn) < 8_192
    pixels = zlib.decompress(pictures.content(drawn, b"IDAT") or b"")
    assert len(pixels) == PORTRAIT_HEIGHT * (1 + 3 * PORTRAIT_WIDTH)
    assert read(card_writer.card_png(card_of(V1))).cards[0].name == "Hedda"


def test_archives_of_equal_cards_are_equal() -> None:
    card = card_of(V3)
    assert card_writer.card_charx(card) == card_writer.card_charx(card)
    assert UNKNOWN.encode() in Archive(card_writer.card_charx(card)).read("card.json")


def test_a_lorebook_of_v3_keeps_patterns_that_have_no_slashes() -> None:
    """A mark of SillyTavern's would make plain words of them."""
    book = Book(
        name="b",
        entries=(Entry(uid="0", keys=("a+",), use_regex=True, position=Position.AT_DEPTH, depth=2),),
    )
    card = structs.replace(card_of(V1), book=book)
    again = read(card_writer.card_json(card, "v3")).cards[0].book
    assert again
    assert (again.entries[0].use_regex, again.entries[0].depth) == (True, 2)

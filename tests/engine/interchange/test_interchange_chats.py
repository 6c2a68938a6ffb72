"""Chats as trees: swipes are variants, files of one chat are one tree, and nobody guesses who is who."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from flower.engine.export import render as export
from flower.engine.interchange import chat_tree, fields, flower_story, kobold, sillytavern_chats
from flower.engine.interchange.reader import read
from flower.engine.interchange.values import Chat, ChatNote, Ending, ImportedMessage, Kind, Variant
from flower.engine.store import stories
from flower.errors import ImportFileError, UnknownPlayerError
from tests.interchange_files import CHAT_LINES, as_json, as_lines, files

FILES = files()
MOMENT = 1727532300.0  # 28 September 2024, 14:05 UTC


def chat_of(kind: Kind, me: str = "") -> Chat:
    return read(FILES[kind], "file", me).chats[0]


def texts(chat: Chat) -> list[tuple[str, str]]:
    return [(message.role, message.text) for message in chat.messages]


def line(name: str, said: str, *, user: bool = False, **fields: object) -> dict[str, Any]:
    return {"name": name, "is_user": user, "mes": said, **fields}


def file_of(name: str, *lines: Mapping[str, Any], **metadata: object) -> Chat:
    return read(as_lines({"chat_metadata": metadata}, *lines), name).chats[0]


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        ("September 28, 2024 2:05pm", MOMENT),
        ("September 28, 2024 02:05 PM", MOMENT),
        ("2024-09-28@14h05m00s", MOMENT),
        ("2024-9-28 @14h 5m 0s 250ms", MOMENT + 0.25),
        ("2024-09-28T14:05:00.000Z", MOMENT),
        ("2024-09-28T16:05:00+02:00", MOMENT),
        ("2024-09-28", MOMENT - 14 * 3600 - 300),
        (1727532300000, MOMENT),
        (1727532300, MOMENT),
        ("1727532300000", MOMENT),
        ("", None), ("soon", None), (None, None), (True, None), ([], None), (0, None), (1e300, None),
        ("February 31, 2024 2:05pm", None), ("0000-01-01@00h00m00s", None), ("9" * 60, None),
    ],
)  # fmt: skip
def test_dates_of_every_age(written: object, seconds: float | None) -> None:
    assert fields.date(written) == seconds


def test_dates_are_written_as_browsers_do() -> None:
    assert fields.iso(MOMENT + 0.486) == "2024-09-28T14:05:00.486Z"
    assert fields.date(fields.iso(MOMENT)) == MOMENT


def test_a_message_has_its_swipes_dates_and_thoughts() -> None:
    chat = chat_of(Kind.SILLYTAVERN_CHAT)
    reply, asked = chat.messages
    assert [variant.text for variant in reply.variants] == ["Oh.", "Aye."]
    assert (reply.chosen, reply.variants[1].model, reply.variants[1].reasoning) == (1, "m", "r")
    assert (asked.hidden, asked.variants[0].sent, asked.parent_variant) == (True, MOMENT, 1)
    assert (chat.character, chat.player, chat.note) == (
        "Hedda",
        "Wren",
        ChatNote("Fog.", 4, 1, "system"),
    )


@pytest.mark.parametrize(
    ("fields", "variants", "chosen"),
    [
        ({"swipes": []}, ("a",), 0),
        ({"swipes": None, "swipe_id": 3}, ("a",), 0),
        ({"swipes": ["b", "c"], "swipe_id": 9}, ("b", "a"), 1),
        ({"swipes": ["b", "c"], "swipe_id": None}, ("a", "c"), 0),
        ({"swipes": [None, 7, {"message": "x"}], "swipe_id": 0}, ("a", "", "x"), 0),
        ({"swipes": ["a", "b"], "swipe_id": 0, "swipe_info": [None]}, ("a", "b"), 0),
    ],
)
def test_swipes_of_every_shape(fields: dict[str, Any], variants: tuple[str, ...], chosen: int) -> None:
    """What is shown counts where it differs from its swipe."""
    (message,) = file_of("f", line("A", "a", **fields)).messages
    assert (tuple(variant.text for variant in message.variants), message.chosen) == (variants, chosen)


def test_a_narrator_s_line_is_nobody_s() -> None:
    (message,) = file_of("f", line("System", "Rain.", extra={"type": "narrator"})).messages
    assert message.role == "system"


def test_the_newest_summary_is_the_chat_s_memory() -> None:
    chat = file_of(
        "f", line("A", "a", extra={"memory": "old"}), line("A", "b", extra={"memory": "new"})
    )
    assert chat.memory == "new"


def test_chats_of_all_programs_say_who_spoke() -> None:
    said = [("assistant", "Ahoy."), ("user", "Hello.")]
    for kind in (Kind.CHUB_CHAT, Kind.CAI_TOOLS_CHAT, Kind.CAI_CHAT, Kind.AGNAI_CHAT, Kind.RISU_CHAT):
        assert texts(chat_of(kind)) == said, kind
    assert texts(chat_of(Kind.OOBA_CHAT)) == [
        ("assistant", "Ahoy & hi."), ("user", "Hello."), ("assistant", "Aye."),
    ]  # fmt: skip
    assert texts(chat_of(Kind.LLAMA_SESSION)) == [("user", "Hello."), ("assistant", "Ahoy.")]


# --- who is the player --------------------------------------------------------------------------


def test_a_chat_that_does_not_tell_asks_with_the_names() -> None:
    data = as_json(
        {
            "messages": [
                {"characterId": "a", "name": "Tam", "msg": "1"},
                {"characterId": "b", "name": "Mo", "msg": "2"},
            ]
        }
    )
    with pytest.raises(UnknownPlayerError, match="Tam, Mo") as asked:
        read(data)
    assert asked.value.speakers == ("Tam", "Mo")
    assert texts(read(data, me="Mo").chats[0]) == [("assistant", "1"), ("user", "2")]
    with pytest.raises(UnknownPlayerError):
        read(data, me="Nobody")


def test_lines_without_a_mark_for_the_player_go_by_the_header_or_ask() -> None:
    lines = ({"name": "Tam", "mes": "1"}, {"name": "Mo", "mes": "2"})
    named = as_lines({"user_name": "Mo", "character_name": "Tam"}, *lines)
    assert texts(read(named).chats[0]) == [("assistant", "1"), ("user", "2")]
    with pytest.raises(UnknownPlayerError):
        read(as_lines({"user_name": "unused", "character_name": "unused"}, *lines))


# --- Kobold and NovelAI -------------------------------------------------------------------------


def saved(prompt: str, actions: list[str], **settings_: object) -> list[tuple[str, str]]:
    save = {"gamestarted": True, "prompt": prompt, "actions": actions, "savedsettings": settings_}
    return texts(read(as_json(save)).chats[0])


def test_a_story_keeps_its_spaces_and_its_other_ways_on() -> None:
    chat = chat_of(Kind.KOBOLD_SAVE)
    assert (
        "".join(message.text for message in chat.messages) == "It rained. It stopped. It rained again."
    )
    assert [variant.text for variant in chat.messages[1].variants] == [" It stopped.", " It snowed."]
    assert (chat.memory, chat.note) == ("A quay.", ChatNote("[Author's note: Sad.]"))


def test_chat_mode_is_told_by_names() -> None:
    said = saved("Tam: Ahoy: all.\nsit down", ["\nMe: Hello.", "\nAnn: Hi."],
                 opmode=3, chatname="Me", chatopponent="Tam||$||Ann")  # fmt: skip
    assert said == [("assistant", "Ahoy: all.\nsit down"), ("user", "Hello."), ("assistant", "Hi.")]


def test_chat_mode_without_names_asks() -> None:
    with pytest.raises(UnknownPlayerError, match="Tam, Me"):
        saved("Tam: Ahoy.", ["\nMe: Hello."], opmode=3)


def test_marks_and_tags_tell_instructions() -> None:
    assert saved("Rain.{{[INPUT]}}Hi.{{[OUTPUT]}}Ahoy.", []) == [
        ("assistant", "Rain."), ("user", "Hi."), ("assistant", "Ahoy."),
    ]  # fmt: skip
    tagged = saved("\n### In:\nHi.\n### Out:\nAhoy.", [], opmode=4,
                   instruct_starttag="\\n### In:\\n", instruct_endtag="\n### Out:\n")  # fmt: skip
    assert tagged == [("user", "Hi."), ("assistant", "Ahoy.")]


def test_adventure_mode_is_told_by_its_sign() -> None:
    assert saved("A cave.", ["\n\n> Go in\n\n", "It is dark."], opmode=2) == [
        ("assistant", "A cave."), ("user", "Go in"), ("assistant", "It is dark."),
    ]  # fmt: skip


def test_marks_of_pictures_are_left_out() -> None:
    assert kobold.without_pictures("a[<|p|pic1|p|>]b[<|h|x|y|h|>]c[<|p|open") == "abc[<|p|open"


def test_the_second_form_of_saves_has_choices_and_an_archive() -> None:
    found = read(FILES[Kind.KOBOLD_STORY_ZIP])
    assert [[v.text for v in m.variants] for m in found.chats[0].messages] == [
        ["It rained."],
        [" Yes.", " No."],
    ]
    assert found.books[0].entries[0].keys == ("a",)


def test_a_shared_story_has_its_memory() -> None:
    chat = chat_of(Kind.KOBOLD_SHARE)
    assert (texts(chat)[1], chat.memory, chat.note) == (
        ("assistant", " It stopped."),
        "A quay.",
        ChatNote("Sad."),
    )


def test_placeholders_of_a_scenario_become_their_defaults() -> None:
    chat = chat_of(Kind.NOVELAI_SCENARIO)
    assert chat.messages[0].text == "I am Ada here."
    assert (chat.memory, chat.note, chat.scenario) == ("Memory.", ChatNote("Note."), "d")


def test_a_story_s_pieces_are_told_by_who_wrote_them() -> None:
    assert texts(chat_of(Kind.NOVELAI_STORY)) == [
        ("assistant", "It rained."), ("user", " I ran."), ("assistant", " Far."),
    ]  # fmt: skip


def test_a_packed_story_says_that_its_text_cannot_be_read() -> None:
    value = json.loads(FILES[Kind.NOVELAI_STORY])
    del value["content"]["story"]
    value["content"]["document"] = "zzz"
    found = read(as_json(value))
    assert "plain text" in found.notices[0]
    assert found.books


# --- merging ------------------------------------------------------------------------------------

GREETING = line("A", "Hello.")
ASKED, ANSWER = line("Me", "Who?", user=True), line("A", "I.")


def test_files_with_a_common_beginning_become_one_tree() -> None:
    one = file_of("one", GREETING, ASKED, ANSWER, line("Me", "Left.", user=True))
    two = file_of("two", GREETING, ASKED, ANSWER, line("Me", "Right.", user=True))
    (tree,) = chat_tree.merge([one, two])
    assert [(m.text, m.parent) for m in tree.messages] == [
        ("Hello.", None), ("Who?", 0), ("I.", 1), ("Left.", 2), ("Right.", 2),
    ]  # fmt: skip
    assert [(ending.name, ending.leaf) for ending in tree.endings] == [("one", 3), ("two", 4)]


def test_chats_that_share_but_their_greeting_stay_apart() -> None:
    one = file_of("one", GREETING, line("Me", "Hm.", user=True), line("A", "Yes."))
    two = file_of("two", GREETING, ASKED, ANSWER)
    assert chat_tree.merge([one, two]) == (one, two)


def test_a_branch_joins_the_chat_it_names_or_shares_a_mark_with() -> None:
    trunk = file_of("trunk", GREETING, ASKED, ANSWER, integrity="x")
    named = file_of("named", GREETING, line("Me", "Hm.", user=True), main_chat="trunk")
    marked = file_of("marked", GREETING, line("Me", "Oh.", user=True), integrity="x")
    (tree,) = chat_tree.merge([named, marked, trunk])
    assert [ending.name for ending in tree.endings] == ["marked", "trunk", "named"]
    assert len(tree.messages) == 5


def test_variants_of_both_files_are_kept_and_lines_hang_on_theirs() -> None:
    one = file_of("one", line("A", "b", swipes=["a", "b"], swipe_id=1), ASKED, ANSWER, integrity="x")
    two = file_of(
        "two",
        line("A", "c", swipes=["a", "c"], swipe_id=1),
        line("Me", "Hm.", user=True),
        integrity="x",
    )
    (tree,) = chat_tree.merge([one, two])
    assert [variant.text for variant in tree.messages[0].variants] == ["a", "b", "c"]
    assert [(m.text, m.parent_variant) for m in tree.messages[1:]] == [
        ("Who?", 1),
        ("I.", 0),
        ("Hm.", 2),
    ]
    files_ = dict(sillytavern_chats.write_tree(tree, "x"))
    assert texts(read(files_["two"]).chats[0])[0] == ("assistant", "c")


def test_merging_takes_time_in_proportion() -> None:
    """A thousand checkpoints of a long chat: the tree has each line once."""
    said = [line("A" if n % 2 else "Me", f"{n}", user=not n % 2) for n in range(40)]
    chats = [
        file_of(f"{n}", *said[: n % 40 + 1], line("A", f"end {n}"), integrity="x") for n in range(200)
    ]
    (tree,) = chat_tree.merge(chats)
    assert len(tree.messages) == 40 + 200


# --- writing ------------------------------------------------------------------------------------


def test_a_tree_becomes_a_file_for_each_end_and_branches_name_their_trunk() -> None:
    messages = (
        ImportedMessage(
            parent=None,
            role="assistant",
            name="A",
            variants=(Variant(text="x"), Variant(text="y")),
            chosen=1,
        ),
        ImportedMessage(parent=0, parent_variant=1, role="user", variants=(Variant(text="left"),)),
        ImportedMessage(
            parent=0, parent_variant=0, role="user", variants=(Variant(text="right"),), hidden=True
        ),
    )
    chat = Chat(
        character="A",
        player="Me",
        messages=messages,
        memory="sum",
        note=ChatNote("N", 2, 3, "user"),
        created=MOMENT,
    )
    written = dict(sillytavern_chats.write_tree(chat, "story"))
    assert list(written) == ["story", "story - Branch #1"]
    one, two = ([json.loads(part) for part in data.split(b"\n")] for data in written.values())
    assert "main_chat" not in one[0]["chat_metadata"]
    assert two[0]["chat_metadata"]["main_chat"] == "story"
    assert (one[1]["mes"], one[1]["swipes"], one[1]["swipe_id"], two[1]["mes"]) == (
        "y",
        ["x", "y"],
        1,
        "x",
    )
    assert len(one[1]["swipe_info"]) == 2
    assert "swipes" not in one[2]
    assert two[2]["is_system"]
    (again,) = chat_tree.merge([read(data, name).chats[0] for name, data in written.items()])
    assert [m.text for m in again.messages] == [m.text for m in messages]
    assert (again.memory, again.note, again.created) == ("sum", chat.note, MOMENT)


def test_a_change_changes_one_line_of_the_file() -> None:
    data = as_lines(*CHAT_LINES)
    chat = read(data, "f").chats[0]
    changed = structs.replace(
        chat, messages=(chat.messages[0], structs.replace(chat.messages[1], hidden=False))
    )
    (written,) = dict(sillytavern_chats.write_tree(changed, "f")).values()
    before, after = (
        [json.loads(part) for part in text.split(b"\n")]
        for text in (dict(sillytavern_chats.write_tree(chat, "f"))["f"], written)
    )
    assert after[:2] == before[:2]
    assert (after[2]["is_system"], after[2]["mes"]) == (False, "Hm.")


def test_an_old_story_export_has_its_variants() -> None:
    chat = chat_of(Kind.FLOWER_STORY)
    assert [(m.role, [v.text for v in m.variants], m.chosen) for m in chat.messages] == [
        ("assistant", ["Ahoy."], 0), ("user", ["Hello."], 0), ("assistant", ["Aye.", "No."], 1),
    ]  # fmt: skip


def test_what_a_story_s_export_writes_is_read() -> None:
    """The export of the running program and this reader must not part ways."""

    def message(number: int, parent: int | None, role: str, said: str) -> stories.Message:
        return stories.Message(number, "s", parent, role, said, "complete", "model", None, MOMENT, {})

    path = [
        message(1, None, "assistant", "Ahoy."),
        message(2, 1, "user", "Hello."),
        message(4, 2, "assistant", "No."),
    ]
    stored = stories.StoredSession("s", "w", "c", "Title", 1, MOMENT, MOMENT, 1, "main", 0, 0, {})
    story = export.Story(
        stored, "World", "Tam", path, [[message(3, 2, "assistant", "Aye.")]], {}, MOMENT
    )
    chat = read("".join(export.render(story, "jsonl")).encode()).chats[0]
    assert (chat.title, chat.character, chat.created) == ("Title", "Tam", MOMENT)
    assert [[v.text for v in m.variants] for m in chat.messages] == [
        ["Ahoy."],
        ["Hello."],
        ["No.", "Aye."],
    ]
    assert (chat.messages[2].chosen, chat.messages[2].variants[0].model) == (0, "model")
    assert chat.endings == (Ending("main", 2),)


TEXT = st.text("ab \n", max_size=5)
VARIANT = st.builds(
    Variant, text=TEXT, sent=st.none() | st.integers(1, 2_000_000_000).map(float), model=st.text("m", max_size=2),
    reasoning=TEXT, source=st.dictionaries(st.text("k"), st.integers(), max_size=2),
)  # fmt: skip


@st.composite
def trees(draw: st.DrawFn) -> Chat:
    messages: list[ImportedMessage] = []
    for index in range(draw(st.integers(0, 7))):
        variants = tuple(draw(st.lists(VARIANT, min_size=1, max_size=3)))
        parent = draw(st.none() | st.integers(0, index - 1)) if index else None
        under = draw(st.integers(0, len(messages[parent].variants) - 1)) if parent is not None else 0
        messages.append(ImportedMessage(
            parent=parent, parent_variant=under, role=draw(st.sampled_from(["user", "assistant", "system"])),
            name=draw(st.text("n", max_size=2)), variants=variants, chosen=draw(st.integers(0, len(variants) - 1)),
            hidden=draw(st.booleans()),
            source=draw(st.dictionaries(st.text("s"), st.integers(), max_size=1))))  # fmt: skip
    leaves = st.none() | st.integers(0, len(messages) - 1) if messages else st.none()
    endings = st.builds(Ending, st.text("e", max_size=2), leaves, st.just({"h": 1}))
    return Chat(
        title="t", character="c", messages=tuple(messages), variables={"x": "1"}, memory=draw(TEXT),
        endings=tuple(draw(st.lists(endings, min_size=1, max_size=2))),
        note=draw(st.none() | st.just(ChatNote("n", 0, 2, "user"))),
    )  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(chat=trees())
def test_any_tree_survives_our_own_lines(chat: Chat) -> None:
    """Nothing is lost: the value that is read is the value that was written."""
    assert read("".join(flower_story.write(chat)).encode()).chats == (chat,)


@settings(max_examples=100, deadline=None)
@given(chat=trees())
def test_every_text_of_any_tree_is_in_some_sillytavern_file(chat: Chat) -> None:
    bare = structs.replace(chat, messages=tuple(structs.replace(m, source={}) for m in chat.messages))
    written = [
        read(data, name) for name, data in sillytavern_chats.write_tree(bare, "x") if b"mes" in data
    ]
    found = {v.text for part in written for m in part.chats[0].messages for v in m.variants}
    assert found >= {variant.text for message in chat.messages for variant in message.variants}


def test_a_chat_without_a_line_is_refused() -> None:
    with pytest.raises(ImportFileError):
        read(as_json({"histories": {"histories": []}}))

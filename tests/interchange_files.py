"""One small made-up file of every kind that Flower reads, each with something in it that Flower has no use for.

``UNKNOWN`` stands in every file where its kind has room for fields of other programs.
"""

from __future__ import annotations

import base64
import io
import json
import struct
import zipfile
import zlib
from typing import Any

from flower.engine.interchange import pictures
from flower.engine.interchange.card_writer import portrait
from flower.engine.interchange.values import Kind

UNKNOWN = "kept for another program"
EXTRA = {"other_program": UNKNOWN}
PICTURE = portrait("Hedda")

ENTRY = {"keys": ["net"], "content": "Nets are tarred.", "extensions": EXTRA, "enabled": True,
         "insertion_order": 10, "use_regex": False, "name": "Nets", "priority": 3}  # fmt: skip
BOOK = {"name": "Quay", "extensions": EXTRA, "entries": [ENTRY]}
V1 = {"name": "Hedda", "description": "{{char}} mends nets.", "personality": "patient",
      "scenario": "On the quay.", "first_mes": "Hold this, {{user}}.", "mes_example": "<START>\n{{user}}: Hm.",
      **EXTRA}  # fmt: skip
DATA = {key: value for key, value in V1.items() if key not in EXTRA} | {
    "creator_notes": "Notes.", "system_prompt": "S {{original}}", "post_history_instructions": "P",
    "alternate_greetings": ["Second.", "Third."], "tags": ["sea"], "creator": "own", "character_version": "1",
    "extensions": {"talkativeness": "0.3", "depth_prompt": {"prompt": "D", "depth": 2, "role": "user"}, **EXTRA},
    "character_book": BOOK,
}  # fmt: skip
V2 = {"spec": "chara_card_v2", "spec_version": "2.0", "data": DATA}
V3 = {"spec": "chara_card_v3", "spec_version": "3.0",
      "data": {**DATA, "nickname": "Hed", "group_only_greetings": ["All here?"], "source": ["own:1"],
               "creator_notes_multilingual": {"de": "Notizen."}, "creation_date": 1700000000,
               "modification_date": 1700000100,
               "assets": [{"type": "icon", "uri": "ccdefault:", "name": "main", "ext": "png"}]}}  # fmt: skip
FARADAY = {"version": 4, "character": {
    "aiName": "Brine", "aiPersona": "{character} dives.", "scenario": "Flats.", "basePrompt": "Be brief.",
    "customDialogue": "#{user}: Cold?", "firstMessage": "Watch, {user}.", "loreItems": [{"key": "a, b", "value": "x"}],
    "Chat": [{"ChatItems": [{"input": "Deep?", "output": "#{character}: No.\n#{user}: "}]}], **EXTRA}}  # fmt: skip
CHARACTER = {"name": "Brine", "displayName": "Brine B.", "persona": "{character} dives. #{user}: hm.",
             "loreItems": [{"key": "oyster, pearl", "value": "Taxed."}],
             "images": [{"path": "images/a.png", "label": ""}], **EXTRA}  # fmt: skip
SCENARIO = {"title": "Low tide", "narrative": "{user} walks.", "formattingInstructions": "Be brief.",
            "firstMessages": [{"text": "Watch, {user}."}], "exampleMessages": [{"text": "#{user}: Cold?"}],
            "messages": [{"type": "human", "text": "Deep?"}, {"type": "ai", "outputs": [
                {"text": "Enough.", "activeTimestamp": "2025-06-01T10:02:00.000Z"},
                {"text": "No.", "activeTimestamp": "2025-06-01T10:04:00.000Z"}]}]}  # fmt: skip
WORLD_INFO = {"entries": {"0": {"uid": 0, "key": ["k"], "keysecondary": ["s"], "comment": "c", "content": "Text.",
              "constant": False, "selective": True, "selectiveLogic": 3, "order": 90, "position": 4, "depth": 2,
              "role": 1, "disable": False, "probability": 60, "useProbability": True, "sticky": 2, "group": "g,h",
              "characterFilter": {"isExclude": True, "names": ["Tam"], "tags": []}, **EXTRA}}}  # fmt: skip
INSTRUCT = {
    "name": "Tide",
    "input_sequence": "<<U>>",
    "output_sequence": "<<A>>",
    "system_sequence": "<<S>>",
    "input_suffix": "<</U>>",
    "output_suffix": "<</A>>",
    "stop_sequence": "<</A>>",
    "wrap": False,
    **EXTRA,
}
NOVELAI_BOOK = {"lorebookVersion": 5, "entries": [{"keys": ["sea & salt"], "text": "Salt.", "displayName": "Sea",
                "enabled": True, "forceActivation": False, "contextConfig": {"budgetPriority": 400},
                **EXTRA}]}  # fmt: skip
CHAT_LINES: list[dict[str, Any]] = [
    {"user_name": "unused", "character_name": "unused", "chat_metadata": {"note_prompt": "Fog.", **EXTRA}},
    {"name": "Hedda", "is_user": False, "is_system": False, "send_date": "2026-11-28T01:06:08.486Z", "mes": "Aye.",
     "extra": {"model": "m", "reasoning": "r"}, "swipe_id": 1, "swipes": ["Oh.", "Aye."],
     "swipe_info": [{"send_date": "2026-11-28T01:06:07.000Z", "extra": {}}, {"extra": {}}]},
    {"name": "Wren", "is_user": True, "is_system": True, "send_date": "September 28, 2024 2:05pm", "mes": "Hm.",
     "extra": {}},
]  # fmt: skip
KOBOLD = {"gamestarted": True, "prompt": "It rained.", "memory": "A quay.", "authorsnote": "Sad.",
          "anotetemplate": "[Author's note: <|>]", "actions": [" It stopped.", " It rained again."],
          "actions_metadata": {"0": {"Alternative Options": [{"Text": " It snowed."}]}},
          "worldinfo": [{"key": "a, b", "keysecondary": "", "content": "x", "comment": "", "selective": False}],
          **EXTRA}  # fmt: skip


def as_json(value: object) -> bytes:
    return json.dumps(value).encode()


def as_lines(*values: object) -> bytes:
    return "\n".join(json.dumps(value) for value in values).encode()


def as_zip(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def as_png(**texts: object) -> bytes:
    return pictures.with_texts(
        PICTURE, [(key, pictures.packed_card(value)) for key, value in texts.items()]
    )


def exif(comment: bytes, order: str = ">") -> bytes:
    """Returns a TIFF block with a user's comment in its Exif directory."""
    mark = b"MM" if order == ">" else b"II"
    body = b"ASCII\0\0\0" + comment
    first = struct.pack(f"{order}HHHII", 1, 0x8769, 4, 1, 26) + bytes(4)
    second = struct.pack(f"{order}HHHII", 1, 0x9286, 7, len(body), 44) + bytes(4)
    return mark + struct.pack(f"{order}HI", 42, 8) + first + second + body


def with_chunk(kind: bytes, body: bytes, *, before_image: bool = False) -> bytes:
    """Returns the picture with one more chunk, before or behind its image data."""
    mark = b"IDAT" if before_image else b"IEND"
    place = PICTURE.index(mark) - 4
    return PICTURE[:place] + pictures.chunk_bytes(kind, body) + PICTURE[place:]


def webp(comment: bytes) -> bytes:
    block = exif(comment, "<")
    chunks = (
        b"VP8X" + struct.pack("<I", 10) + bytes(10) + b"EXIF" + struct.pack("<I", len(block)) + block
    )
    chunks += bytes(len(block) % 2)
    return b"RIFF" + struct.pack("<I", 4 + len(chunks)) + b"WEBP" + chunks


def jpeg(comment: bytes) -> bytes:
    block = b"Exif\0\0" + exif(comment)
    return b"\xff\xd8\xff\xe1" + struct.pack(">H", len(block) + 2) + block + b"\xff\xda\0\2data\xff\xd9"


def charx(card: object = V3) -> bytes:
    return as_zip(
        {"card.json": as_json(card), "assets/icon/images/main.png": PICTURE, "x_meta/1.json": b"{}"}
    )


def files() -> dict[Kind, bytes]:
    """Returns a file of every kind."""
    ooba = "name: Yara\ngreeting: You are late.\ncontext: |-\n  Yara keeps the ledger.\n"
    return {
        Kind.CARD_V1: as_json(V1),
        Kind.CARD_V2: as_json(V2),
        Kind.CARD_V3: as_json(V3),
        Kind.CARD_PNG: as_png(chara=V2, ccv3=V3),
        Kind.CARD_WEBP: webp(as_json(V2)),
        Kind.CARD_JPEG: jpeg(base64.b64encode(as_json(V2))),
        Kind.CHARX: charx(),
        Kind.BYAF: as_zip({
            "manifest.json": as_json({"characters": ["characters/c/character.json"], "scenarios": ["scenarios/1.json"],
                                      "author": {"name": "own"}}),
            "characters/c/character.json": as_json(CHARACTER), "characters/c/images/a.png": PICTURE,
            "scenarios/1.json": as_json(SCENARIO)}),
        Kind.FARADAY: with_chunk(b"eXIf", exif(base64.b64encode(as_json(FARADAY)))),
        Kind.OOBA_CARD: f"{ooba}other_program: {UNKNOWN}\n".encode(),
        Kind.GRADIO_CARD: as_json({"char_name": "Old Tam", "char_persona": "A ferryman.", "world_scenario": "River.",
                                   "char_greeting": "Two coppers.", "example_dialogue": "Why?", **EXTRA}),
        Kind.WORLD_INFO: as_json(WORLD_INFO),
        Kind.CHARACTER_BOOK: as_json(BOOK),
        Kind.LOREBOOK_V3: as_json({"spec": "lorebook_v3", "data": BOOK}),
        Kind.AGNAI_BOOK: as_json({"kind": "memory", "name": "Agnai", "entries": [
            {"name": "Ferry", "entry": "At dusk.", "keywords": ["ferry", "fer*"], "priority": 3, "weight": 7,
             "enabled": True, **EXTRA}]}),
        Kind.RISU_BOOK: as_json({"type": "risu", "ver": 1, "data": [
            {"key": "a, b", "secondkey": "c", "comment": "d", "content": "e", "alwaysActive": False, "selective": True,
             "insertorder": 5, "activationPercent": 40, **EXTRA}]}),
        Kind.NOVELAI_BOOK: as_json(NOVELAI_BOOK),
        Kind.NOVELAI_BOOK_PNG: as_png(naidata=NOVELAI_BOOK),
        Kind.STORY_CARDS: as_json([{"keys": "kraken, leviathan", "value": "A beast.", "title": "Kraken", **EXTRA}]),
        Kind.SILLYTAVERN_CHAT: as_lines(*CHAT_LINES),
        Kind.CHUB_CHAT: as_lines(
            {"user_name": "You", "character_name": "Tam", "create_date": "2024-01-02", **EXTRA},
            {"name": "Tam", "is_user": False, "mes": {"message": "Ahoy."}, "swipe_id": 0,
             "swipes": [{"message": "Ahoy."}, {"message": "Hoy."}]}, {"name": "You", "is_user": True, "mes": "Hello."}),
        Kind.CAI_TOOLS_CHAT: as_lines(
            {"name": "Tam", "is_user": False, "is_name": True, "send_date": 1752740306202, "mes": "Ahoy.", **EXTRA},
            {"name": "You", "is_user": True, "is_name": True, "send_date": 1752740306202, "mes": "Hello."}),
        Kind.CAI_CHAT: as_json({"info": EXTRA, "histories": {"histories": [{"msgs": [
            {"src": {"is_human": False, "name": "Tam"}, "text": "Ahoy."},
            {"src": {"is_human": True, "name": "Me"}, "text": "Hello."}]}]}}),
        Kind.AGNAI_CHAT: as_json({"name": "Exported", "scenario": "s", "messages": [
            {"characterId": "c", "name": "Tam", "msg": "Ahoy.", **EXTRA}, {"userId": "u", "msg": "Hello."}]}),
        Kind.RISU_CHAT: as_json({"type": "risuChat", "data": {"name": "Sea", "note": "n", **EXTRA, "message": [
            {"role": "char", "data": "Ahoy.", "time": 1752740306202}, {"role": "user", "data": "Hello."}]}}),
        Kind.OOBA_CHAT: as_json({
            "data_visible": [["<|BEGIN-VISIBLE-CHAT|>", "Ahoy &amp; hi."], ["Hello.", "Aye."]], **EXTRA}),
        Kind.KOBOLD_SAVE: as_json(KOBOLD),
        Kind.KOBOLD_SHARE: as_json({"ga": ["It rained.", " It stopped."], "cm": "A quay.", "ca": "Sad.", "ct": "<|>",
                                    "cwi": [], "ess": "", **EXTRA}),
        Kind.KOBOLD_STORY_ZIP: as_zip({"story.json": as_json({
            "file_version": 2, "gamestarted": True, "prompt": "It rained.", **EXTRA, "story_name": "Rain",
            "actions": {"action_count": 0, "actions": {"0": {"Selected Text": " Yes.", "Options": [{"text": " No."}]}}},
            "worldinfo_v2": {"entries": {"1": {"title": "t", "key": ["a"], "content": "x"}}}})}),
        Kind.LLAMA_SESSION: as_lines(
            {"type": "session", "id": "1"},
            {"type": "message", "message": {"role": "user", "content": "Hello."}, **EXTRA},
            {"type": "message", "message": {"role": "assistant", "content": [{"type": "text", "text": "Ahoy."}]}}),
        Kind.NOVELAI_SCENARIO: as_json({
            "scenarioVersion": 3, "title": "Lab", "description": "d",
            "prompt": "I am ${1#name[Ada]Your name:who} here.",
            "context": [{"text": "Memory."}, {"text": "Note."}], "lorebook": NOVELAI_BOOK, **EXTRA}),
        Kind.NOVELAI_STORY: as_json({"storyContainerVersion": 1, "metadata": {"title": "Lab"}, "content": {
            "story": {"fragments": [{"data": "It rained.", "origin": "prompt"}, {"data": " I ran.", "origin": "user"},
                                    {"data": " Far.", "origin": "ai"}]},
            "context": [{"text": "Memory."}], "lorebook": NOVELAI_BOOK, **EXTRA}}),
        Kind.FLOWER_STORY: as_lines(
            {"flower": 1, "title": "Old", "character": "Tam"},
            {"id": 4, "parent": None, "role": "assistant", "content": "Ahoy.", "active": True},
            {"id": 7, "parent": 4, "role": "user", "content": "Hello.", "active": True},
            {"id": 9, "parent": 7, "role": "assistant", "content": "Aye.", "active": False},
            {"id": 8, "parent": 7, "role": "assistant", "content": "No.", "active": True}),
        Kind.GROUP: as_json({"name": "Both", "members": ["A.png", "B.png"], "chat_id": "x", "chats": ["x", "y"]}),
        Kind.SETTINGS: as_json({"power_user": {
            "personas": {"w.png": "Wren"}, "default_persona": "w.png", "persona_descriptions": {
                "w.png": {"description": "A walker.", "position": 0, "lorebook": "Quay", **EXTRA,
                          "connections": [{"type": "character", "id": "Hedda.png"}]}}}}),
        Kind.QUICK_REPLIES: as_json({"version": 2, "name": "Set", "qrList": [
            {"id": 1, "label": "Look", "message": "I look around.", **EXTRA}]}),
        Kind.SCRIPTS: as_json({"id": "a", "scriptName": "Hide", "findRegex": "/<b>.*?<\\/b>/g", "replaceString": "",
            "placement": [2], "trimStrings": [], "markdownOnly": True, "substituteRegex": 0, **EXTRA}),
        Kind.ARCHIVE: as_zip({"default-user/characters/Hedda.json": as_json(V2),
                              "default-user/worlds/Quay.json": as_json(WORLD_INFO)}),
        Kind.SAMPLER_PRESET: as_json({"temp": 0.9, "rep_pen": 1.05, "min_p": 0.02, "tfs": 0.9, **EXTRA}),
        Kind.INSTRUCT_PRESET: as_json(INSTRUCT),
        Kind.CONTEXT_PRESET: as_json({"name": "Tide", "story_string": "<<S>>{{system}}<</S>>", "chat_start": "",
                                      **EXTRA}),
        Kind.PRESETS: as_json({"instruct": INSTRUCT, "preset": {"temp": 1, "rep_pen": 1}}),
    }  # fmt: skip


def deflated(keyword: bytes, text: bytes) -> bytes:
    """Returns the content of a compressed text chunk."""
    return keyword + b"\0\0" + zlib.compress(text)

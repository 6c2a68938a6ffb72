"""Saves of KoboldAI and KoboldAI Lite, in all their forms, as chats.

A save is one text in pieces. In chat mode the lines' beginnings say who speaks; in instruct mode marks do; in
adventure mode the player's lines begin with ">"; a story has one narrator and no player. Source: KoboldAI
Lite's loader, KoboldAI's ``story.json``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from flower import limits
from flower.engine.interchange import chat_tree, json_text, other_books
from flower.engine.interchange.archive import Archive
from flower.engine.interchange.chat_tree import UnplacedMessage
from flower.engine.interchange.fields import first_text, mapping, objects, text, whole, words
from flower.engine.interchange.values import Chat, ChatNote, Ending, Imported, Kind, Variant
from flower.errors import ImportFileError, UnknownPlayerError

STORY_JSON = "story.json"
_ADVENTURE, _CHAT, _INSTRUCT = 2, 3, 4
_INPUT, _OUTPUT = "{{[INPUT]}}", "{{[OUTPUT]}}"
_PICTURES = (("[<|p|", "|p|>]"), ("[<|h|", "|h|>]"), ("[<|d|", "|d|>]"))
_BETWEEN = "||$||"  # between the names of several characters
_SHARED = ("ga", "p", "a")


def kind_of(value: object) -> Kind | None:
    """Returns which kind of save an object is, None if it is none."""
    if not isinstance(value, dict):
        return None
    if "gamestarted" in value or ("prompt" in value and "actions" in value):
        return Kind.KOBOLD_SAVE
    if isinstance(value.get("ga"), list) or ("p" in value and isinstance(value.get("a"), list)):
        return Kind.KOBOLD_SHARE
    return None


def read(value: dict[str, Any], name: str = "", me: str = "") -> Imported:
    """Returns the story and its lorebook.

    Raises ``ImportFileError``, and ``UnknownPlayerError`` for a chat that does not say who is the player.
    """
    kind = kind_of(value) or Kind.KOBOLD_SAVE
    settings = mapping(value.get("savedsettings"))
    pieces = list(_shared_pieces(value) if kind is Kind.KOBOLD_SHARE else _pieces(value))
    mode = whole(settings.get("opmode")) or 0
    lines = _lines(pieces, settings, mode, me)
    title = first_text(value, "story_name", "title") or name
    messages = chat_tree.chain(lines)
    if not messages:
        raise ImportFileError("the save has no text: the story in it was not begun")
    chat = Chat(
        title=title,
        character=next((line.name for line in lines if line.role == "assistant" and line.name), ""),
        player=next((line.name for line in lines if line.role == "user" and line.name), ""),
        messages=messages,
        endings=(Ending(title, chat_tree.last(messages)),),
        memory=first_text(value, "memory", "cm"),
        note=_note(value),
        source={
            key: part for key, part in value.items() if key not in ("actions", "ga", "a", "worldinfo")
        },
    )
    book = other_books.kobold(_world_info(value), title or "Kobold")
    return Imported(kind=kind, chats=(chat,), books=(book,) if book else ())


def read_archive(archive: Archive, name: str = "", me: str = "") -> Imported:
    """Returns the story in an archive of KoboldAI."""
    value = json_text.parse(json_text.decode(archive.read(STORY_JSON)))
    if kind_of(value) is None:
        raise ImportFileError("story.json in the archive is no Kobold story")
    story = read(value, name, me)
    return Imported(kind=Kind.KOBOLD_STORY_ZIP, chats=story.chats, books=story.books)


def _note(value: Mapping[str, Any]) -> ChatNote | None:
    note = first_text(value, "authorsnote", "authornote", "ca")
    if not note.strip():
        return None
    template = first_text(value, "anotetemplate", "authornotetemplate", "ct")
    return ChatNote(template.replace("<|>", note) if "<|>" in template else note)


def _world_info(value: Mapping[str, Any]) -> list[dict[str, Any]]:
    newer = mapping(value.get("worldinfo_v2")).get("entries")
    if newer:
        return [_newer_entry(item) for item in objects(newer)]
    return list(objects(value.get("worldinfo") or value.get("cwi")))


def _newer_entry(item: Mapping[str, Any]) -> dict[str, Any]:
    """KoboldAI's second form has lists of keys where the first has one text."""
    keys, further = item.get("key"), item.get("keysecondary")
    return {
        **item,
        "key": ", ".join(words(keys)),
        "keysecondary": ", ".join(words(further)),
        "comment": first_text(item, "title", "comment"),
        "selective": bool(words(further)),
    }


# --- pieces of text -----------------------------------------------------------------------------


def _pieces(value: Mapping[str, Any]) -> Iterator[list[str]]:
    """Yields the pieces of a story, each with its alternatives, the chosen one first."""
    yield [text(value.get("prompt"))]
    actions = value.get("actions")
    if isinstance(actions, list):
        metadata = mapping(value.get("actions_metadata"))
        for number, action in enumerate(actions):
            yield [text(action), *_alternatives(mapping(metadata.get(str(number))))]
        return
    newer = mapping(actions)
    for item in objects(newer.get("actions") or newer):
        yield [text(item.get("Selected Text")), *_alternatives(item)]


def _alternatives(item: Mapping[str, Any]) -> list[str]:
    options = item.get("Alternative Options") or item.get("Options")
    return [
        option_text
        for option in objects(options)
        if (option_text := first_text(option, "Text", "text")) and not option.get("Previous Selection")
    ]


def _shared_pieces(value: Mapping[str, Any]) -> Iterator[list[str]]:
    whole_text = value.get("ga")
    pieces = whole_text if isinstance(whole_text, list) else [value.get("p"), *value.get("a", [])]
    return ([text(piece)] for piece in pieces)


def without_pictures(line: str) -> str:
    """Returns a text without the marks that stand for pictures in it."""
    for begin, end in _PICTURES:
        if begin not in line:
            continue
        pieces = []
        place = 0
        while (start := line.find(begin, place)) >= 0:
            stop = line.find(end, start)
            if stop < 0:
                break
            pieces.append(line[place:start])
            place = stop + len(end)
        line = "".join(pieces) + line[place:]
    return line


# --- who speaks ---------------------------------------------------------------------------------


def _lines(
    pieces: Sequence[list[str]], settings: Mapping[str, Any], mode: int, me: str
) -> list[UnplacedMessage]:
    whole_text = without_pictures("".join(piece[0] for piece in pieces))
    others = [part for part in text(settings.get("chatopponent")).split(_BETWEEN) if part]
    names = {"user": text(settings.get("chatname")), "assistant": others[0] if others else ""}
    if _INPUT in whole_text or _OUTPUT in whole_text:
        return list(_marked(whole_text, _INPUT, _OUTPUT, names))
    if mode == _INSTRUCT:
        begin, end = (_tag(settings, key) for key in ("instruct_starttag", "instruct_endtag"))
        if begin and end:
            return list(_marked(whole_text, begin, end, names))
    if mode == _CHAT or me:
        return _dialogue(whole_text, me or names["user"], others)
    if mode == _ADVENTURE:
        return list(_adventure(pieces))
    return list(_story(pieces))


def _tag(settings: Mapping[str, Any], key: str) -> str:
    """Returns a mark of instruct mode; settings write its line breaks as they are typed."""
    return first_text(settings, key).replace("\\n", "\n").strip()


def _marked(
    whole_text: str, begin: str, end: str, names: Mapping[str, str]
) -> Iterator[UnplacedMessage]:
    """Yields the parts of a text between marks: what follows ``begin`` is the player's."""
    role, rest = "assistant", whole_text
    while rest:
        places = [(place, mark) for mark in (begin, end) if (place := rest.find(mark)) >= 0]
        place, mark = min(places, default=(len(rest), ""))
        line = rest[:place].strip()
        if line:
            yield chat_tree.one_text_message(line, role, names[role])
        role = "user" if mark == begin else "assistant"
        rest = rest[place + len(mark) :] if mark else ""


def _dialogue(whole_text: str, player: str, others: Sequence[str]) -> list[UnplacedMessage]:
    """Splits a text at lines that begin with a speaker's name and a colon."""
    names = [name for name in (player, *others) if name]
    turns = _turns(whole_text, names)
    if not player:
        speakers = tuple(dict.fromkeys(name for name, _ in turns if name))
        if len(speakers) > 1:
            raise UnknownPlayerError(speakers[: limits.IMPORT_SPEAKERS])
    return [
        chat_tree.one_text_message(line, "user" if name and name == player else "assistant", name)
        for name, line in turns
        if line
    ]


def _turns(whole_text: str, names: Sequence[str]) -> list[tuple[str, str]]:
    turns: list[tuple[str, list[str]]] = [("", [])]
    for line in whole_text.split("\n"):
        name, colon, rest = line.partition(":")
        if colon and (name in names or (not names and _is_name(name))):
            turns.append((name, [rest.lstrip()]))
        else:
            turns[-1][1].append(line)
    return [(name, whole) for name, parts in turns if (whole := "\n".join(parts).strip())]


def _is_name(value: str) -> bool:
    return (
        0 < len(value) <= 40
        and value == value.strip()
        and value[:1].isalpha()
        and len(value.split()) <= 3
    )


def _adventure(pieces: Iterable[list[str]]) -> Iterator[UnplacedMessage]:
    for piece in pieces:
        line = without_pictures(piece[0]).strip()
        if line.startswith(">"):
            yield chat_tree.one_text_message(line.removeprefix(">").strip(), "user", "")
        elif line:
            yield chat_tree.one_text_message(line, "assistant", "")


def _story(pieces: Iterable[list[str]]) -> Iterator[UnplacedMessage]:
    """Pieces of a story go on in the middle of a sentence, so their spaces stay."""
    for piece in pieces:
        variants = [
            Variant(text=line) for part in dict.fromkeys(piece) if (line := without_pictures(part))
        ]
        if variants:
            yield UnplacedMessage("assistant", "", variants)

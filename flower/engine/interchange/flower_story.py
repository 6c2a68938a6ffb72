"""Flower's own JSON lines: a whole tree of messages, with nothing lost.

The first line is about the story, each further one is a variant of a message; ``id`` and ``parent`` say how
they hang together. The story export of before, which has one line per message, is the same form with fewer
fields: replies with one parent are variants of each other there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from flower import limits
from flower.engine.interchange import chat_tree, fields, json_text
from flower.engine.interchange.fields import flag, mapping, objects, text, whole
from flower.engine.interchange.values import Chat, ChatNote, Ending, ImportedMessage, Variant
from flower.errors import ImportFileError

VERSION = 2
_ROLES = ("user", "assistant", "system")
_HEAD = ("title", "character", "player", "scenario", "memory", "linked_book")


def is_story(value: object) -> bool:
    """Whether the first line of a file is one of ours."""
    return isinstance(value, dict) and isinstance(value.get("flower"), int)


def write(chat: Chat) -> Iterator[str]:
    """Yields the lines of a story, each with its line break."""
    head: dict[str, Any] = {"flower": VERSION}
    head |= {key: value for key in _HEAD if (value := getattr(chat, key))}
    if chat.created is not None:
        head["created"] = chat.created
    if chat.note:
        head["note"] = [chat.note.text, chat.note.depth, chat.note.every, chat.note.role]
    if chat.variables:
        head["variables"] = dict(chat.variables)
    if chat.source:
        head["source"] = chat.source
    starts = _starts(chat.messages)
    head["endings"] = [
        {"name": ending.name, "message": None if ending.leaf is None else starts[ending.leaf] + 1,
         **({"source": ending.source} if ending.source else {})}
        for ending in chat.endings
    ]  # fmt: skip
    yield json_text.compact(head) + "\n"
    for index, message in enumerate(chat.messages):
        for number in range(len(message.variants)):
            yield json_text.compact(_variant_line(chat, starts, index, number)) + "\n"


def _starts(messages: Sequence[ImportedMessage]) -> list[int]:
    """Returns, for each message, how many variants come before its first one."""
    starts, count = [], 0
    for message in messages:
        starts.append(count)
        count += len(message.variants)
    return starts


def _variant_line(chat: Chat, starts: Sequence[int], index: int, number: int) -> dict[str, Any]:
    message = chat.messages[index]
    variant = message.variants[number]
    parent = None if message.parent is None else starts[message.parent] + message.parent_variant + 1
    line: dict[str, Any] = {
        "id": starts[index] + number + 1,
        "parent": parent,
        "of": starts[index] + 1,
        "role": message.role,
        "content": variant.text,
    }
    if number == message.chosen:
        line["chosen"] = True
    further = {
        "name": message.name,
        "hidden": message.hidden,
        "created": variant.sent,
        "model": variant.model,
        "reasoning": variant.reasoning,
        "source": variant.source,
    }
    line |= {key: value for key, value in further.items() if value}
    if number == 0 and message.source:
        line["message_source"] = message.source
    return line


# --- reading ------------------------------------------------------------------------------------


def read(text_: str, name: str = "") -> Chat:
    """Returns the story in a file. Raises ``ImportFileError`` where a line is broken: ours never are."""
    head, rows = _rows(text_)
    messages, places = _messages(rows)
    created = head.get("created")
    note = head.get("note")
    return Chat(
        **{key: text(head.get(key)) for key in _HEAD if key != "title"},
        title=text(head.get("title")) or name,
        messages=tuple(messages),
        endings=_endings(head, rows, messages, places),
        created=fields.date(created),
        note=_note(note),
        variables={key: text(value) for key, value in mapping(head.get("variables")).items()},
        source=mapping(head.get("source")),
    )


def _rows(text_: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    parsed = []
    for number, line in enumerate(text_.split("\n"), 1):
        if not line.strip():
            continue
        value = json_text.parse(line)
        if not isinstance(value, dict):
            raise ImportFileError(f"line {number} of the story is no message")
        parsed.append(value)
        if len(parsed) > limits.IMPORT_MESSAGES:
            raise ImportFileError(f"the story has more than {limits.IMPORT_MESSAGES:,} messages")
    return parsed[0], parsed[1:]


def _note(value: object) -> ChatNote | None:
    if not isinstance(value, list) or len(value) != 4 or not text(value[0]):
        return None
    role = value[3] if value[3] in ("system", "user", "assistant") else "system"
    return ChatNote(text(value[0]), whole(value[1], 0, 1000) or 0, whole(value[2], 0, 1000) or 0, role)


def _messages(
    rows: Sequence[Mapping[str, Any]],
) -> tuple[list[ImportedMessage], dict[int, tuple[int, int]]]:
    """Returns the messages, and for each id the message and the variant it is."""
    groups: dict[object, list[Mapping[str, Any]]] = {}
    for row in rows:
        groups.setdefault(_group(row), []).append(row)
    places: dict[int, tuple[int, int]] = {}
    messages: list[ImportedMessage] = []
    for group in groups.values():
        parent = whole(group[0].get("parent"))
        if parent is not None and parent not in places:
            raise ImportFileError(f"the story names a message {parent} that is not there before")
        above, under = places[parent] if parent is not None else (None, 0)
        for number, row in enumerate(group):
            identity = whole(row.get("id"))
            if identity is None or identity in places:
                raise ImportFileError("a message of the story has no number of its own")
            places[identity] = (len(messages), number)
        messages.append(_message(group, above, under))
    return messages, places


def _group(row: Mapping[str, Any]) -> object:
    if "of" in row:
        return whole(row["of"])
    own = row.get("role") != "assistant"  # other lines with one parent are branches, not variants
    return ("alone", whole(row.get("id"))) if own else ("replies", whole(row.get("parent")))


def _message(group: Sequence[Mapping[str, Any]], parent: int | None, under: int) -> ImportedMessage:
    first = group[0]
    chosen = [number for number, row in enumerate(group) if row.get("chosen") or row.get("active")]
    role = first.get("role")
    if role not in _ROLES:
        raise ImportFileError("a message of the story has no role that Flower knows")
    return ImportedMessage(
        parent=parent,
        parent_variant=under,
        role=str(role),
        name=text(first.get("name")),
        variants=tuple(_variant(row) for row in group),
        chosen=chosen[0] if chosen else len(group) - 1,
        hidden=flag(first.get("hidden")),
        source=mapping(first.get("message_source")),
    )


def _variant(row: Mapping[str, Any]) -> Variant:
    return Variant(
        text=text(row.get("content")),
        sent=fields.date(row.get("created")),
        model=text(row.get("model")),
        reasoning=text(row.get("reasoning")),
        source=mapping(row.get("source")),
    )


def _endings(
    head: Mapping[str, Any],
    rows: Sequence[Mapping[str, Any]],
    messages: Sequence[ImportedMessage],
    places: Mapping[int, tuple[int, int]],
) -> tuple[Ending, ...]:
    if "endings" in head:
        return tuple(
            Ending(
                text(item.get("name")), _leaf(item.get("message"), places), mapping(item.get("source"))
            )
            for item in objects(head["endings"])
        )
    active = [row for row in rows if row.get("active")]
    leaf = _leaf(active[-1].get("id"), places) if active else chat_tree.last(messages)
    return (Ending(text(head.get("branch")), leaf),)


def _leaf(value: object, places: Mapping[int, tuple[int, int]]) -> int | None:
    number = whole(value)
    if number is None:
        return None
    if number not in places:
        raise ImportFileError(f"the story names an end {number} that is not there")
    return places[number][0]

"""Scenarios and stories of NovelAI as chats with a lorebook.

Source: real ``.scenario`` files of versions 0 to 3 and the ``.story`` container. Newer stories keep their text
in a packed document that is not read: the rest of the file is, and a notice says so.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from msgspec import structs

from flower.engine.interchange import chat_tree, fields, other_books
from flower.engine.interchange.chat_tree import UnplacedMessage
from flower.engine.interchange.fields import mapping, objects, text
from flower.engine.interchange.values import Chat, ChatNote, Ending, Imported, Kind
from flower.engine.lorebook.book import Book
from flower.errors import ImportFileError

_USER = "user"  # origin of a piece that the player wrote


def kind_of(value: object) -> Kind | None:
    """Returns whether an object is a scenario or a story, None if it is neither."""
    if not isinstance(value, dict):
        return None
    if "scenarioVersion" in value and "prompt" in value:
        return Kind.NOVELAI_SCENARIO
    return Kind.NOVELAI_STORY if "storyContainerVersion" in value else None


def read_scenario(value: dict[str, Any], name: str = "") -> Imported:
    """Returns the story that a scenario begins. Raises ``ImportFileError``."""
    title = " ".join(text(value.get("title")).split()) or name
    prompt = _filled(text(value.get("prompt")))
    lines = [chat_tree.one_text_message(prompt, "assistant", "")] if prompt else []
    chat = _chat(lines, title, value, text(value.get("description")))
    source = {key: part for key, part in value.items() if key not in ("prompt", "lorebook", "title")}
    return _imported(Kind.NOVELAI_SCENARIO, chat, source, value, ())


def read_story(value: dict[str, Any], name: str = "") -> Imported:
    """Returns the story in a container. Raises ``ImportFileError``."""
    metadata, content = mapping(value.get("metadata")), mapping(value.get("content"))
    lines = list(_fragments(mapping(content.get("story"))))
    notices: tuple[str, ...] = ()
    if not lines and content.get("document"):
        notices = ("The story's text is in a form that Flower cannot read; export it as plain text.",)
    title = " ".join(text(metadata.get("title")).split()) or name
    chat = _chat(lines, title, content, text(metadata.get("description")))
    if not lines and not chat.memory and not mapping(content.get("lorebook")).get("entries"):
        raise ImportFileError(
            "the NovelAI story has no text that Flower can read; export it as plain text"
        )
    source = {"metadata": metadata, **{key: part for key, part in content.items() if key != "lorebook"}}
    return _imported(Kind.NOVELAI_STORY, chat, source, content, notices)


def _imported(
    kind: Kind,
    chat: Chat,
    source: Mapping[str, Any],
    holder: Mapping[str, Any],
    notices: tuple[str, ...],
) -> Imported:
    lorebook = mapping(holder.get("lorebook"))
    books: tuple[Book, ...] = ()
    if isinstance(lorebook.get("entries"), list) and lorebook["entries"]:
        books = (other_books.read(lorebook, Kind.NOVELAI_BOOK, chat.title),)
    chat = structs.replace(chat, source=source)
    has_story = chat.messages or chat.memory or chat.note is not None or not books
    return Imported(kind=kind, chats=(chat,) if has_story else (), books=books, notices=notices)


def _chat(
    lines: Sequence[UnplacedMessage], title: str, holder: Mapping[str, Any], description: str
) -> Chat:
    """The first text of the context is the memory, the second the author's note."""
    context = [text(item.get("text")) for item in objects(holder.get("context"))] + ["", ""]
    messages = chat_tree.chain(lines)
    return Chat(
        title=title,
        messages=messages,
        endings=(Ending(title, chat_tree.last(messages)),),
        created=fields.date(mapping(holder.get("metadata")).get("createdAt")),
        scenario=description,
        memory=_filled(context[0]),
        note=ChatNote(_filled(context[1])) if context[1].strip() else None,
    )


def _fragments(story: Mapping[str, Any]) -> Iterator[UnplacedMessage]:
    """Yields the text in pieces of one origin each: the player's, and everything else."""
    role, parts = "", list[str]()
    for fragment in objects(story.get("fragments")):
        piece = text(fragment.get("data"))
        now = "user" if fragment.get("origin") == _USER else "assistant"
        if now != role and "".join(parts).strip():
            yield chat_tree.one_text_message("".join(parts), role, "")
            parts = []
        role = now
        parts.append(piece)
    if "".join(parts).strip():
        yield chat_tree.one_text_message("".join(parts), role, "")


def _filled(value: str) -> str:
    """Returns a text with its placeholders ``${1#id[default]title:description}`` as their defaults."""
    parts = value.split("${")
    filled = [parts[0]]
    for part in parts[1:]:
        inside, brace, rest = part.partition("}")
        if not brace:
            filled.append("${" + part)
            continue
        _, bracket, after = inside.partition("[")
        default = after.partition("]")[0] if bracket else inside.rpartition("#")[2]
        filled.append(default + rest)
    return "".join(filled)

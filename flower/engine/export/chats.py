"""A story's tree as a chat that other programs can read. Pure.

Replies to one line are variants of one message; lines of the player that follow one message are branches.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec.structs import replace

from flower.engine.game.steering import Steering
from flower.engine.interchange import chat_tree
from flower.engine.interchange.values import Chat, ChatNote, Ending, ImportedMessage, Variant
from flower.engine.store.stories import Message, StoredSession

PLAYER = "You"
NARRATOR = "Narrator"


def chat_of(
    stored: StoredSession,
    tree: Sequence[Message],
    steered: Steering,
    names: Mapping[str, str],
    branches: Mapping[int, str] | None = None,
    originals: Sequence[Chat] = (),
) -> Chat:
    """Returns a story as a chat. ``tree`` has parents before children.

    ``names`` are of characters by id, ``branches`` of named branches by the message they end at.
    ``originals`` are the chats the story came from: what they say beside their texts is taken over.
    """
    player = steered.persona.name or PLAYER
    character = names.get(stored.character_id, "") or next((c.character for c in originals), "")
    messages, places = _messages(tree, player, character or NARRATOR, names)
    chat = Chat(
        title=stored.title,
        character=character or NARRATOR,
        player=player,
        messages=tuple(messages),
        endings=_endings(stored, tree, places, branches or {}),
        created=stored.created,
        note=_note(steered),
    )
    return _with_sources(chat, originals)


def _messages(
    tree: Sequence[Message], player: str, character: str, names: Mapping[str, str]
) -> tuple[list[ImportedMessage], dict[int, tuple[int, int]]]:
    """Returns the messages, and for each id the message and the variant it is."""
    groups: dict[tuple[int | None, str], list[Message]] = {}
    for message in tree:
        # Replies are variants of each other; whatever else is said has no variants.
        own = "" if message.role == "assistant" else str(message.id)
        groups.setdefault((message.parent_id, own), []).append(message)
    chosen = _chosen(tree)
    messages: list[ImportedMessage] = []
    places: dict[int, tuple[int, int]] = {}
    for (parent, _), variants in groups.items():
        above = places.get(parent) if parent is not None else None
        chosen_place = next(
            (n for n, one in enumerate(variants) if one.id in chosen), len(variants) - 1
        )
        first = variants[0]
        said_by = first.extra.name or names.get(first.extra.speaker, "")
        said_by = said_by or {"user": player, "assistant": character}.get(first.role, "")
        for number, one in enumerate(variants):
            places[one.id] = (len(messages), number)
        messages.append(
            ImportedMessage(
                parent=above[0] if above else None,
                parent_variant=above[1] if above else 0,
                role=first.role,
                name=said_by,
                variants=tuple(
                    Variant(text=m.content, sent=m.created, model=m.model) for m in variants
                ),
                chosen=chosen_place,
                hidden=any(m.extra.hidden for m in variants),
            )
        )
    return messages, places


def _chosen(tree: Sequence[Message]) -> set[int]:
    """Returns the messages below which the story grew last, where one has to be shown of several."""
    newest: dict[int, int] = {}
    for message in reversed(tree):
        newest[message.id] = max(newest.get(message.id, 0), message.id)
        if message.parent_id is not None:
            newest[message.parent_id] = max(newest.get(message.parent_id, 0), newest[message.id])
    best: dict[int | None, tuple[int, int]] = {}
    for message in tree:
        if message.role == "assistant":
            ending = (newest[message.id], message.id)
            best[message.parent_id] = max(best.get(message.parent_id, (0, 0)), ending)
    return {number for _, number in best.values()}


def _endings(
    stored: StoredSession,
    tree: Sequence[Message],
    places: Mapping[int, tuple[int, int]],
    branches: Mapping[int, str],
) -> tuple[Ending, ...]:
    """Returns where the story is, then where its named branches end."""
    endings = []
    if stored.active_leaf is not None and stored.active_leaf in places:
        endings.append(Ending("", places[stored.active_leaf][0]))
    endings += [
        Ending(name, places[leaf][0])
        for leaf, name in branches.items()
        if leaf in places and leaf != stored.active_leaf
    ]
    return tuple(endings)


def _note(steered: Steering) -> ChatNote | None:
    note = steered.note
    return ChatNote(note.text, note.depth + 1, note.every) if note is not None else None


def _with_sources(chat: Chat, originals: Sequence[Chat]) -> Chat:
    """Returns the chat as the originals have it, with what was added here."""
    if not originals:
        return chat
    marked = next((o for o in originals if o.endings), None)
    if marked is None:
        return chat
    # The ending of the original makes it known that they belong together, and names the file again.
    leaf = chat.endings[0].leaf if chat.endings else chat_tree.last(chat.messages)
    own = replace(chat, endings=(replace(marked.endings[0], leaf=leaf), *chat.endings[1:]))
    own = replace(own, character=marked.character, player=marked.player or own.player)
    merged = chat_tree.merge([*originals, own])
    if len(merged) != 1:
        return chat
    (whole,) = merged
    ends = {e.leaf: e for e in reversed(whole.endings) if e.leaf is not None}
    story_leaf = whole.endings[-len(own.endings)].leaf
    if story_leaf is None or story_leaf not in ends:
        return whole
    first = ends.pop(story_leaf)
    return replace(whole, endings=(first, *reversed(ends.values())))

"""The part of a story that this client holds: a run of messages, newest last.

Owns how messages, pages and streamed pieces are put together; never lays out text. All values are
immutable, every function returns a new ``Transcript``. The engine holds the truth: when something
does not fit (a gap in a stream, a page from nowhere) the caller asks for the newest page again.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from typing import NamedTuple

from flower import limits
from flower.tui.render.messages import MessageView

STORY_MESSAGES = 4_000  # messages a client holds, 4 MB; a reader further back lets the newest go


class Transcript(NamedTuple):
    """``more``: id to ask older messages by, 0 when there are none; ``loading``: asked already.

    ``detached``: the newest messages were let go while the user reads far back.
    """

    messages: tuple[MessageView, ...] = ()
    session: str = ""
    more: int = 0
    loading: bool = False
    detached: bool = False
    next_key: int = 1


UNCONFIRMED = ("sent", "pending")


class Gap(Exception):  # noqa: N818  # a fact about a stream, not an error of anyone
    """A piece of a reply is missing; only the engine can tell what it was."""


def index_of(story: Transcript, key: int) -> int:
    """Returns the index of the first message whose key is ``key`` or higher."""
    return bisect_left(story.messages, key, key=lambda message: message.key)


def append(story: Transcript, message: MessageView) -> Transcript:
    """Returns the story with ``message`` at its end, under a fresh key.

    The user's lines that still wait for the engine stay last: it will take them up after ``message``.
    """
    end = len(story.messages)
    if message.status not in UNCONFIRMED:
        while end and story.messages[end - 1].status in UNCONFIRMED:
            end -= 1
    added = (message, *story.messages[end:])
    keyed = tuple(one._replace(key=story.next_key + place) for place, one in enumerate(added))
    return story._replace(
        messages=(*story.messages[:end], *keyed), next_key=story.next_key + len(keyed)
    )


def replace(story: Transcript, index: int, message: MessageView) -> Transcript:
    """Returns the story with the message at ``index`` exchanged."""
    messages = story.messages
    return story._replace(messages=(*messages[:index], message, *messages[index + 1 :]))


def find_turn(story: Transcript, turn: str) -> int | None:
    """Returns the index of the reply of ``turn``; ``""`` (old engines) is the last streaming reply."""
    for index in range(len(story.messages) - 1, -1, -1):
        message = story.messages[index]
        if message.role != "assistant":
            continue
        if message.turn == turn if turn else message.status == "streaming":
            return index
    return None


def find_message(story: Transcript, message: int) -> int | None:
    """Returns the index of the message that the engine knows as ``message``; newest are found first."""
    if not message:
        return None
    for index in range(len(story.messages) - 1, -1, -1):
        if story.messages[index].message == message:
            return index
    return None


def find_request(story: Transcript, request: str) -> int | None:
    """Returns the index of the user's line sent under ``request``."""
    for index in range(len(story.messages) - 1, -1, -1):
        if story.messages[index].request == request:
            return index
    return None


def add_piece(story: Transcript, turn: str, offset: int | None, piece: str, model: str) -> Transcript:
    """Returns the story with a streamed piece joined to its reply.

    ``offset`` counts the characters of the reply before the piece (None: old engines). Raises ``Gap``
    when characters before the piece are missing. Characters that are here already are not repeated.
    """
    index = find_turn(story, turn)
    if index is None:
        if offset:
            raise Gap
        story, index = _begin_reply(story, turn, model)
    reply = story.messages[index]
    if len(reply.text) >= limits.REPLY_CHARS:
        return story
    if offset is not None:
        if offset > len(reply.text):
            raise Gap
        piece = piece[len(reply.text) - offset :]
    room = limits.REPLY_CHARS - len(reply.text)
    return replace(story, index, reply._replace(text=reply.text + piece[:room], status="streaming"))


def take_back(story: Transcript, turn: str, offset: int) -> Transcript:
    """Returns the story with only the first ``offset`` characters of a reply: the rest was none of it.

    Raises ``Gap`` when there are fewer.
    """
    index = find_turn(story, turn)
    if index is None:
        return story
    reply = story.messages[index]
    if offset > len(reply.text):
        raise Gap
    return replace(story, index, reply._replace(text=reply.text[:offset]))


def add_reasoning(story: Transcript, turn: str, piece: str, model: str) -> Transcript:
    """Returns the story with a piece of the model's thinking joined to its reply."""
    index = find_turn(story, turn)
    if index is None:
        story, index = _begin_reply(story, turn, model)
    reply = story.messages[index]
    room = limits.REPLY_CHARS - len(reply.reasoning)
    return replace(story, index, reply._replace(reasoning=reply.reasoning + piece[:room]))


def _begin_reply(story: Transcript, turn: str, model: str) -> tuple[Transcript, int]:
    key = story.next_key
    story = append(story, MessageView(0, "assistant", "", turn=turn, status="streaming", model=model))
    return story, index_of(story, key)


def show_page(story: Transcript, session: str, page: Sequence[MessageView], more: int) -> Transcript:
    """Returns the story after its newest page came.

    Older pages of the same session stay when the new page begins with a message known here; the keys
    of known messages stay too, so that a reader's place survives a resync. Pending lines that the
    page does not contain are kept at the end.
    """
    same = session == story.session
    by_id = {message.message: message for message in story.messages if message.message} if same else {}
    arrived = {line.request for line in page if line.request}
    pending = tuple(
        message
        for message in story.messages
        if same and message.status in UNCONFIRMED and message.request not in arrived
    )
    older: tuple[MessageView, ...] = ()
    if page and not story.detached and (first := by_id.get(page[0].message)):
        older = story.messages[: index_of(story, first.key)]
        more = story.more
    staying = {line.message for line in page if line.message in by_id} if not story.detached else set()
    joined: list[MessageView] = []
    key = story.next_key
    fresh = False
    for line in page:
        # Once a fresh message has come, a known one after it cannot keep its key: keys must rise.
        if line.message in staying and not fresh:
            before = by_id[line.message]
            line = line._replace(key=before.key, reasoning=before.reasoning)
        else:
            fresh = True
            line, key = line._replace(key=key), key + 1
        joined.append(line)
    for line in pending:
        joined.append(line._replace(key=key))
        key += 1
    return Transcript((*older, *joined), session, more, next_key=key)


def show_older(story: Transcript, page: Sequence[MessageView], more: int) -> Transcript:
    """Returns the story with an older page before it, within ``STORY_MESSAGES``.

    At the limit the newest messages are let go and the story is ``detached``.
    """
    first = story.messages[0].key if story.messages else story.next_key
    start = first - len(page)
    older = tuple(line._replace(key=start + place) for place, line in enumerate(page))
    messages = (*older, *story.messages)
    detached = story.detached or len(messages) > STORY_MESSAGES
    return story._replace(
        messages=messages[:STORY_MESSAGES], more=more, loading=False, detached=detached
    )


def confirm(story: Transcript, request: str, message: int, text: str = "") -> Transcript:
    """Returns the story with the user's line of ``request`` confirmed as the engine's ``message``.

    ``text``: as the engine has it; at a table it begins with who says it.
    """
    index = find_request(story, request)
    if index is None:
        return story
    line = story.messages[index]
    return replace(story, index, line._replace(status="", message=message, text=text or line.text))


def without(story: Transcript, request: str) -> Transcript:
    """Returns the story without the user's line of ``request``."""
    return story._replace(
        messages=tuple(message for message in story.messages if message.request != request)
    )

"""Events that describe how things are: the state beside the story, and pages of the story. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Protocol

from msgspec import UNSET

import flower
from flower import limits
from flower.engine.assets.kinds import Assets
from flower.engine.assets.shelves import briefs
from flower.engine.sessions.session import Session
from flower.engine.store.selections import Selection
from flower.engine.store.stories import Message, StoredSession
from flower.engine.store.tree import Page
from flower.protocol.messages import (
    ChatHistory,
    CommandOption,
    HistoryItem,
    HistoryMeta,
    ModelOption,
    Named,
    QuickReply,
    SessionOption,
    SheetRow,
    State,
    SyncState,
)
from flower.text import first_sentence, one_line

HISTORY_PAGE_BYTES = 256 * limits.KIB
ABOUT_CHARS = 160  # what a list says about a world: two rows of a box
ABOUT_READ_CHARS = 4_000  # of its text: the first sentence that is no heading comes before that

CHARACTERS_LISTED = 200  # in the state; a longer list is asked for page by page


class Models(Protocol):
    """What the state says about models; the registry knows them."""

    def default(self) -> str: ...

    def options(self) -> tuple[ModelOption, ...]: ...

    def composes(self, model_id: str) -> bool: ...


def sync_state(
    assets: Assets,
    models: Models,
    sessions: Sequence[StoredSession],
    chosen: Selection,
    *,
    quick_replies: tuple[QuickReply, ...],
    commands: tuple[CommandOption, ...],
    problems: tuple[str, ...] = (),
    persona: str = "",
) -> SyncState:
    """Returns everything a client shows beside the story."""
    available = models.options()
    chosen_state = selection_state(chosen, models)
    state = State(
        status="ok",
        model=chosen_state.model,
        model_confirmed=chosen_state.model_confirmed,
        world_id=chosen.world_id,
        character_id=chosen.character_id,
        session_id=chosen.session_id,
        available_worlds=world_options(assets),
        available_characters=character_options(assets),
        available_models=available,
        available_rules=rule_options(assets),
        available_sessions=session_options(sessions),
        active_rules=chosen.rules,
        client=chosen.client,
        commands=commands,
        nsfw=chosen.nsfw,
        persona=persona,
        offline=chosen_state.offline,
        version=flower.BUILD,
        quick_replies=quick_replies,
        problems=problems,
    )
    return SyncState("", state)


def quick_replies_of(rows: Sequence[tuple[str, str]]) -> tuple[QuickReply, ...]:
    """Returns imported quick replies that are a line of the story; other programs' commands are none."""
    replies = []
    for label, text in rows:
        name = one_line(label, limits.QUICK_REPLY_NAME_CHARS)
        line = " ".join(text.split())
        if name and line and not line.startswith("/") and len(line) <= limits.QUICK_REPLY_CHARS:
            replies.append(QuickReply(name, line))
    return tuple(replies[: limits.QUICK_REPLIES])


def character_options(assets: Assets) -> tuple[Named, ...]:
    """Returns the characters as the state lists them, the first ``CHARACTERS_LISTED`` of them."""
    first = islice(briefs(assets.characters), CHARACTERS_LISTED)
    return _listed(Named(one.id, one.name, of(one.name, one.summary)) for one in first)


def world_options(assets: Assets) -> tuple[Named, ...]:
    """Returns the worlds as the state lists them."""
    return _listed(
        Named(w.id, w.name, of(w.name, w.lore, w.scene, w.start_message))
        for w in assets.worlds.values()
    )


def rule_options(assets: Assets) -> tuple[Named, ...]:
    """Returns the rules as the state lists them."""
    return _listed(Named(r.id, r.name, of(r.name, r.prompt)) for r in assets.rules.values())


def _listed(options: Iterable[Named]) -> tuple[Named, ...]:
    """Returns the options in their order, the examples of a new home last."""
    return tuple(sorted(options, key=lambda option: is_starter(option.name)))


def selection_state(chosen: Selection, models: Models) -> State:
    """Returns the state keys that follow from the chosen model."""
    model = chosen.model or models.default()
    confirmed = any(option.id == model for option in models.options())
    return State(model=model, model_confirmed=confirmed, offline=models.composes(model))


def session_options(sessions: Sequence[StoredSession]) -> tuple[SessionOption, ...]:
    """Returns stories as clients list them."""
    return tuple(
        SessionOption(
            id=s.id,
            name=s.title or "Untitled",
            world_id=s.world_id,
            updated=s.updated,
            messages=s.messages,
            pinned=bool(s.pinned),
        )
        for s in sessions
    )


def chat_history(session: Session, page: Page, before: int | None) -> ChatHistory:
    """Returns the newest part of ``page`` that fits one frame, the running reply's text included.

    It may be one message longer than a page, to tell whether there is more.
    """
    items: list[HistoryItem] = []
    size = 0
    for message in reversed(page.messages[-limits.HISTORY_PAGE_MESSAGES :]):
        item = _item(session, message, page)
        size += len(item.content.encode()) + len((item.shown or "").encode())
        if items and size > HISTORY_PAGE_BYTES:
            break
        items.append(item)
    more = len(items) < len(page.messages)
    running = session.reply is not None and before is None
    meta = HistoryMeta(
        history=tuple(reversed(items)),
        session=session.id,
        more=page.messages[-len(items)].id if more else UNSET,
        before=before if before is not None else UNSET,
        turn=session.reply.turn if running and session.reply is not None else UNSET,
        sheet=sheet_rows(page.sheet) if page.sheet is not None else UNSET,
    )
    return ChatHistory("", meta)


def sheet_rows(rows: Sequence[tuple[str, str]]) -> tuple[SheetRow, ...]:
    """Returns the rows of a state sheet as they go to clients."""
    return tuple(SheetRow(name, value) for name, value in rows)


def no_history() -> ChatHistory:
    """Returns the history of no story at all."""
    return ChatHistory("", HistoryMeta(()))


def _item(session: Session, message: Message, page: Page) -> HistoryItem:
    variants = page.variants.get(message.id)
    content, status = message.content, message.status
    if message.id in session.unsaved:
        content, status = session.unsaved[message.id].text, session.unsaved[message.id].status
    if session.reply is not None and message.id == session.reply.message_id:
        content = session.reply.text  # newer than what the last flush wrote
    return HistoryItem(
        message.role,
        content,
        message.id,
        status,
        message.model or UNSET,
        message.request or UNSET,
        variant=variants[0] if variants else UNSET,
        variants=variants[1] if variants else UNSET,
        hidden=message.extra.hidden or UNSET,
        shown=page.shown.get(message.id, UNSET),
    )


# --- A sentence on what a world, a character or a rule is, for lists to choose from. Pure.

_NOT_PROSE = ("#", "-", "*", "<", "[", "|")
STARTER_MARK = "(edit me)"  # at the end of the names of the files that a new home comes with
STARTER = "An example to change: its file is in the assets folder of your home."


def of(name: str, *texts: str) -> str:
    """Returns the first sentence of the first of ``texts`` that has prose, ``""`` when none has.

    Headings and lists are passed over. At most ``ABOUT_CHARS`` long.
    """
    if is_starter(name):
        return STARTER
    for text in texts:
        for paragraph in re.split(r"\n\s*\n", text[:ABOUT_READ_CHARS]):
            lines = [line.strip() for line in paragraph.splitlines()]
            prose = " ".join(line for line in lines if line and not line.startswith(_NOT_PROSE))
            if prose:
                return first_sentence(prose, ABOUT_CHARS)
    return ""


def is_starter(name: str) -> bool:
    """Whether this is an example that nobody has made their own yet."""
    return name.rstrip().endswith(STARTER_MARK)

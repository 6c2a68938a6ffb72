"""Changes of a story's tree, made while no reply can begin, and replies in other places of it.

Owns how such a change is claimed, carried out and shown to every watcher. What the changes are is in
``store.tree`` and its neighbours; how a reply is generated is in ``turn``.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Concatenate, ParamSpec, TypeVar

from msgspec import Struct

from flower.engine.prompt.scripted import scripted_page
from flower.engine.prompt.turn_input import Services
from flower.engine.sessions import snapshot
from flower.engine.sessions.runtime import Runtime
from flower.engine.sessions.session import GrowingReply, Session
from flower.engine.sessions.turn_outcome import reply_begun
from flower.engine.sessions.turns import Turns
from flower.engine.store import branches, selections, stories, tree
from flower.engine.store.connection import Connection
from flower.errors import CommandError

P = ParamSpec("P")
T = TypeVar("T")


class StoryEnd(Struct, frozen=True):
    """How a story ends after a change. ``same_window``: its last prompt began on this path as well."""

    page: tree.Page
    same_window: bool


class Edits:
    """Changes stories between their turns."""

    def __init__(self, runtime: Runtime, turns: Turns, now: Callable[[], float]) -> None:
        self._runtime = runtime
        self._turns = turns
        self._now = now
        # A message can be continued again and again: its id alone would not name the turn. Counted
        # from the time in ms, so that a client which lived through a restart takes none for an old one.
        self._continued = itertools.count(int(now() * 1000))

    async def change(
        self,
        session: Session,
        function: Callable[Concatenate[Connection, str, P], T],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """Returns ``function(connection, session id, ...)``, run while no reply can begin.

        Every watcher gets the story as it is then. Raises ``CommandError`` while a reply streams, and
        what ``function`` raises; then nothing was changed.
        """
        async with self._turns.claim(session):

            def changed(db: Connection) -> tuple[T, StoryEnd]:
                return function(db, session.id, *args, **kwargs), _seen(
                    db, self._runtime.services, session
                )

            result, seen = await self._runtime.services.database.write(changed)
            _show(session, seen)
        return result

    async def rewrite(
        self,
        session: Session,
        selection: selections.Selection,
        open_reply: Callable[[Connection, str, str, float], branches.Opened],
    ) -> None:
        """Opens a reply in another place of the tree and begins it.

        ``open_reply`` gets the connection, the story, the model and the time. Every watcher gets the
        story as it is then. Raises like ``change``, and ``ProviderError`` for an unknown model.
        """
        async with self._turns.claim(session):
            model_id = self._turns.models.story_model(selection)

            def changed(db: Connection) -> tuple[branches.Opened, StoryEnd]:
                return open_reply(db, session.id, model_id, self._now()), _seen(
                    db, self._runtime.services, session
                )

            new, seen = await self._runtime.services.database.write(changed)
            session.request = None
            turn_id = f"{session.id}-{new.reply_id}"
            reply = GrowingReply(
                turn=turn_id,
                message_id=new.reply_id,
                line=new.line,
                model=model_id,
                world_id=session.world_id,
            )
            self._turns.start(session, reply, new.line_id, selection, variant=new.variant)
            _show(session, seen)

    async def go_on(self, session: Session, selection: selections.Selection) -> None:
        """Lets the last reply of a story grow. Raises ``CommandError`` if there is none to continue."""
        async with self._turns.claim(session):
            model_id = self._turns.models.story_model(selection)
            again = await self._runtime.services.database.write(branches.open_again, session.id)
            turn_id = f"{session.id}-{again.reply_id}-{next(self._continued)}"
            reply = GrowingReply(
                turn=turn_id,
                message_id=again.reply_id,
                line=again.line,
                model=model_id,
                world_id=session.world_id,
                text=again.text,
            )
            self._turns.start(
                session, reply, again.reply_id, selection, continues=True, variant=again.variant
            )
            session.publish(reply_begun(session, reply))


def _show(session: Session, seen: StoryEnd) -> None:
    """Shows every watcher the end of a story that has changed."""
    if not seen.same_window:
        session.move_window(None)  # another way through the tree: the window is laid out anew
    session.publish(snapshot.chat_history(session, seen.page, None))


def _seen(db: Connection, services: Services, session: Session) -> StoryEnd:
    page = scripted_page(db, services.assets, services.scripts, session.story)
    if page is None:
        raise CommandError("This story is in the trash; /session restore takes it back.")
    start = session.window_start
    same = start is not None and tree.on_path(db, stories.active_leaf(db, session.id), start)
    if start is not None and not same:  # also for whoever opens the story next
        tree.forget_window(db, session.id)
    return StoryEnd(page, same)

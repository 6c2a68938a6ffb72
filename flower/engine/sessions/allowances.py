"""Keeps users within what they may use: stories, prompts a minute, tokens and cost a day, disk.

The home's owner has no limits and is never looked up. What a day's replies used is stored when they end, so that it
holds for all engines of one database; prompts of a minute are counted here.
"""

from __future__ import annotations

import logging
from collections import Counter, deque
from collections.abc import Callable
from pathlib import Path

import trio

from flower import limits
from flower.engine.sessions.runtime import SideUse
from flower.engine.sessions.turn_outcome import TurnOutcome
from flower.engine.store import allowances, selections
from flower.engine.store.allowances import Allowance
from flower.engine.store.connection import Store
from flower.engine.store.library import own_assets
from flower.engine.tasks import guarded
from flower.errors import CommandError, StoreError

log = logging.getLogger(__name__)

MINUTE_S = 60.0
DISK_LOOK_S = 600.0  # between two sums over all of a user's texts
TOMORROW = "it begins anew at midnight, UTC"


class Used(Counter[str]):
    """What a user's replies have used since the engine started: ``replies``, ``tokens``, ``microdollars``."""


class Allowances:
    """What users have used, and whether they may go on. ``exports``: the folder of a user by name and number."""

    def __init__(
        self,
        database: Store,
        nursery: trio.Nursery,
        now: Callable[[], float],
        exports: Callable[[str, int], Path],
    ) -> None:
        self._database = database
        self._nursery = nursery
        self._now = now
        self._exports = exports
        self._prompts: dict[int, deque[float]] = {}  # when, of the last minute
        self._disk: dict[int, tuple[float, int]] = {}  # looked when, bytes of texts
        self.used: dict[int, Used] = {}

    async def check(self, user: int, name: str, *, model: bool, story: bool = False) -> None:
        """Raises ``CommandError`` with a sentence when a user has used what they may.

        ``model``: it asks a model; ``story``: it begins a story.
        """
        allowance = await self._database.read(allowances.allowance, user, self._now())
        most = allowance.limits
        if most.prompts is not None:
            self._count_prompt(user, most.prompts)
        if story and most.stories is not None and allowance.stories >= most.stories:
            raise CommandError(
                f"You have {allowance.stories} stories, trash included, and may have {most.stories}; a story that"
                " was deleted is gone after a month."
            )
        if model or story:
            _check_day(allowance)
            await self._check_disk(user, name, most.disk)

    async def check_library(self, user: int, name: str) -> None:
        """Raises ``CommandError`` when a user's library or disk is full, before something new comes into it."""
        most = await self._database.read(allowances.limits_of, user)
        has = await self._database.read(own_assets.count, user)
        if has >= most.most_own:
            raise CommandError(
                f"You have {has} characters, worlds, rules and lorebooks of your own; {most.most_own} is the most."
            )
        await self._check_disk(user, name, most.disk)

    async def check_import(self, user: int, name: str) -> None:
        """Raises ``CommandError`` when a user may bring no file now; what is in it is counted when it is known."""
        await self.check(user, name, model=False)
        most = await self._database.read(allowances.limits_of, user)
        if most.library == 0 and most.stories == 0:
            raise CommandError("A guest brings no files; whoever keeps this home can make you a user.")
        await self._check_disk(user, name, most.disk)

    async def check_disk(self, user: int, name: str) -> None:
        """Raises ``CommandError`` when a user has filled what they may, before a file of theirs is written."""
        most = await self._database.read(allowances.limits_of, user)
        await self._check_disk(user, name, most.disk)

    def _count_prompt(self, user: int, most: int) -> None:
        now, before = trio.current_time(), self._prompts.setdefault(user, deque())
        while before and before[0] <= now - MINUTE_S:
            before.popleft()
        if len(before) >= most:
            wait = int(before[0] + MINUTE_S - now) + 1 if before else int(MINUTE_S)
            raise CommandError(f"You may send {most} prompts a minute; go on in {wait} s.")
        before.append(now)

    async def _check_disk(self, user: int, name: str, most_mib: int | None) -> None:
        if most_mib is None:
            return
        looked, size = self._disk.get(user, (-DISK_LOOK_S, 0))
        if trio.current_time() - looked >= DISK_LOOK_S:
            size = await self._database.read_slowly(allowances.written_bytes, user)
            self._disk[user] = (trio.current_time(), size)
        size += await trio.to_thread.run_sync(_size_of, self._exports(name, user))
        if size > most_mib * limits.MIB:
            raise CommandError(
                f"Your stories, library and exports have {size // limits.MIB} MiB and may have {most_mib};"
                " delete some, it is looked at again in ten minutes."
            )

    def turn_ended(self, user: int, outcome: TurnOutcome) -> None:
        """Counts a reply for the user who asked for it."""
        if outcome.prepaid:
            return
        tokens = outcome.prompt_tokens + outcome.tokens
        used = self.used.setdefault(user, Used())
        used.update(replies=1, tokens=tokens, microdollars=round(outcome.cost * 1e6))
        self._nursery.start_soon(guarded, "what a user used", self._spend, user, tokens, outcome.cost)

    def side_ended(self, use: SideUse) -> None:
        """Counts what was asked of a model beside the replies."""
        user = selections.user_of(use.client)
        if user:
            used = self.used.setdefault(user, Used())
            used.update(tokens=use.tokens, microdollars=round(use.cost * 1e6))
            self._nursery.start_soon(
                guarded, "what a user used", self._spend, user, use.tokens, use.cost
            )

    async def may_work_ahead(self, client: str) -> bool:
        """Whether a model may be asked for what nobody has asked for; then it counts as a prompt.

        Of the prompts of a minute the second half is the user's own.
        """
        user = selections.user_of(client)
        if not user:
            return True
        try:
            allowance = await self._database.read(allowances.allowance, user, self._now())
            _check_day(allowance)
            if allowance.limits.prompts is not None:
                self._count_prompt(user, allowance.limits.prompts // 2)
        except (CommandError, StoreError) as error:
            log.debug("nothing is done ahead for user %d: %s", user, error)
            return False
        return True

    async def _spend(self, user: int, tokens: int, cost: float) -> None:
        try:
            await self._database.write(allowances.spend, user, tokens, cost, self._now())
        except StoreError as error:  # a full disk: the reply is there all the same
            log.warning("what a user used is not counted: %s", error)


def _check_day(allowance: Allowance) -> None:
    most = allowance.limits
    if most.tokens is not None and allowance.tokens >= most.tokens:
        raise CommandError(f"You have used the {most.tokens} tokens of a day; {TOMORROW}.")
    if most.cost is not None and allowance.cost >= most.cost:
        raise CommandError(f"You have used the {most.cost:g} USD of a day; {TOMORROW}.")


def _size_of(folder: Path) -> int:
    """Returns the bytes of the files in a folder, 0 where there is none."""
    try:
        return sum(one.stat().st_size for one in folder.iterdir() if one.is_file())
    except OSError:
        return 0

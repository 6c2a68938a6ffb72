"""What a turn is given: the services that all turns work with, and what the one is to do."""

from __future__ import annotations

import random
from collections.abc import Mapping
from pathlib import Path

from msgspec import Struct, field

from flower.engine.assets.kinds import Assets
from flower.engine.prompt.bookshelf import Bookshelf
from flower.engine.prompt.scripted import (
    ScriptRunner,
)
from flower.engine.recall.base import Library
from flower.engine.store import selections
from flower.engine.store.connection import Store
from flower.protocol.messages import QuickReply


class Services(Struct, frozen=True, kw_only=True):
    """What turns work with; the same for all of them."""

    database: Store
    library: Library
    assets: Assets
    context_tokens: int
    reply_tokens: int
    params: Mapping[str, object]  # sampler settings for every model
    seed: int | None  # of the offline narrator; None: each story has its own
    rng: random.Random  # jitter between retries
    fallbacks: tuple[str, ...] = ()  # models that step in when the chosen one fails at once
    narrator_updates: bool = False  # the narrator may propose changes of the state sheet
    keep_people: bool = False  # a new story takes over the people of the last one in its world
    quick_replies: tuple[QuickReply, ...] = ()  # lines the player has ready
    prepare: str = (
        "never"  # for which models to work ahead while the player reads: local, always, never
    )
    stop_at_player: bool = True  # a reply ends where a line of it begins as the player's
    lore_roots: tuple[Path, ...] = ()  # folders below which lore may be followed
    bookshelf: Bookshelf = field(default_factory=Bookshelf)
    scripts: ScriptRunner = field(default_factory=ScriptRunner)


class TurnInput(Struct, frozen=True, kw_only=True):
    """What one turn is to do. ``leaf``: the message the reply answers, or itself to be continued."""

    turn: str  # its id
    session_id: str
    world_id: str
    character_id: str
    reply_id: int
    leaf: int
    line: str  # that is answered
    selection: selections.Selection
    model_id: str  # the story's; the speaker may have one of their own
    continues: bool = False
    variant: int = 0  # how many replies to the same line there were before
    ask: str = ""  # what is asked instead of going on, when no line of the player is answered

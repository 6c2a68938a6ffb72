"""Scripts on a story: its messages as a model or a screen gets them. The words that are stored stay as they are.

What a script changes for good in other programs is changed here each time it is sent or shown: so a script
that is switched off leaves nothing behind, and what another program changed already is not changed again.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

from msgspec import Struct
from msgspec.structs import replace

from flower.engine.assets.kinds import Assets
from flower.engine.lorebook.book import Position
from flower.engine.lorebook.outcome import Fired
from flower.engine.prompt.direction import StoryRef, values_of
from flower.engine.prompt.macros import Values, expand
from flower.engine.scripts.apply import Runner, ScriptResult, ScriptText
from flower.engine.scripts.script import Script, ScriptPlace, When
from flower.engine.store import states, stories, tree
from flower.engine.store.connection import Connection
from flower.engine.store.extra import ManifestEntry
from flower.engine.store.library import scripts
from flower.engine.store.stories import Message

__all__ = [
    "NO_SCRIPTS",
    "Acted",
    "ScriptRunner",
    "rows_of_scripts",
    "scripted_lore",
    "scripted_page",
    "scripted_path",
    "shown_texts",
]

SCRIPT = "script"  # how /why calls one that acted


class ScriptRunner(Runner):
    """A runner with this process's clock."""

    def __init__(self) -> None:
        super().__init__(time.perf_counter)


class Acted(Struct, frozen=True):
    """Which scripts hold for a reply, how many texts each changed, and which took too long."""

    scripts: tuple[Script, ...] = ()
    counts: Mapping[str, int] = {}
    trouble: tuple[str, ...] = ()

    def and_also(self, changed: ScriptResult) -> Acted:
        """Returns this with more texts changed."""
        counts = dict(self.counts)
        for name, count in changed.acted.items():
            counts[name] = counts.get(name, 0) + count
        return Acted(self.scripts, counts, tuple(dict.fromkeys((*self.trouble, *changed.trouble))))


NO_SCRIPTS = Acted()


def scripted_path(
    runner: Runner, scripts: tuple[Script, ...], path: Sequence[Message], values: Values
) -> tuple[list[Message], Acted]:
    """Returns the messages as prompts have them; the newest has depth 0."""
    newest = len(path) - 1
    texts = [_text(m, m.extra.told or m.content, newest - number) for number, m in enumerate(path)]
    changed = runner.run(scripts, texts, When.PROMPT, lambda text: expand(text, values), _key(values))
    scripted = [_with(m, text) for m, text in zip(path, changed.texts, strict=True)]
    return scripted, Acted(scripts).and_also(changed)


def scripted_lore(
    runner: Runner, acted: Acted, fired: Sequence[Fired], values: Values
) -> tuple[tuple[Fired, ...], Acted]:
    """Returns what fired of lorebooks as prompts have it."""
    texts = [
        ScriptText(
            one.text,
            ScriptPlace.LORE,
            one.place.depth if one.place.position is Position.AT_DEPTH else None,
        )
        for one in fired
    ]
    changed = runner.run(
        acted.scripts, texts, When.PROMPT, lambda text: expand(text, values), _key(values)
    )
    scripted = tuple(
        one if one.text == text else replace(one, text=text)
        for one, text in zip(fired, changed.texts, strict=True)
    )
    return scripted, acted.and_also(changed)


def shown_texts(
    runner: Runner,
    scripts: tuple[Script, ...],
    messages: Sequence[Message],
    values: Values,
    below: int = 0,
) -> dict[int, str]:
    """Returns the messages that screens show otherwise, by id. ``below``: how many follow the last one."""
    last = len(messages) - 1 + below
    ended = [(n, m) for n, m in enumerate(messages) if m.status != "streaming"]
    texts = [_text(m, m.content, last - number) for number, m in ended]
    changed = runner.run(scripts, texts, When.SCREEN, lambda text: expand(text, values), _key(values))
    pairs = zip(ended, changed.texts, strict=True)
    return {m.id: text for (_, m), text in pairs if text != m.content}


def scripted_page(
    db: Connection, assets: Assets, runner: Runner, story: StoryRef, before: int | None = None
) -> tree.Page | None:
    """Returns a page of a story as ``tree.page`` does, with what screens show in the place of other words."""
    page = tree.page(db, story.session, before)
    if page is None or not page.messages:
        return page
    steered = states.steering(db, story.session)
    held = scripts.holding(db, (story.character_id, *steered.cast.members))
    if not held:
        return page
    leaf = stories.active_leaf(db, story.session)
    current = states.current_at(db, story.session, leaf, page.messages[-1].created)
    character = assets.characters.get(story.character_id)
    below = 0
    if before is not None:
        last = page.messages[-1].id
        below = sum(number > last for number in stories.path_ids(db, leaf))
    values = values_of(assets, story, current, character)
    return replace(page, shown=shown_texts(runner, held, page.messages, values, below))


def _text(message: Message, text: str, depth: int) -> ScriptText:
    extra = message.extra
    place = ScriptPlace.NARRATOR if message.role == "assistant" else ScriptPlace.PLAYER
    if extra.by or message.role == "system":
        place = ScriptPlace.COMMAND
    return ScriptText(text, place, depth, raw=not (extra.imported or extra.edited))


def _with(message: Message, text: str) -> Message:
    if text == (message.extra.told or message.content):
        return message
    if message.extra.told:
        return replace(message, extra=replace(message.extra, told=text))
    return replace(message, content=text)


def _key(values: Values) -> str:
    """Returns what the macros of scripts depend on: these are the same in all prompts of a story."""
    return f"{values.seed}\n{values.user}\n{values.char}\n{values.persona}"


def rows_of_scripts(acted: Acted) -> list[ManifestEntry]:
    """Returns what scripts did as /why lists it."""
    rows = [
        ManifestEntry(SCRIPT, name, 0, f"changed {count} text{'s' if count > 1 else ''}")
        for name, count in acted.counts.items()
    ]
    return [*rows, *(ManifestEntry(SCRIPT, name, 0, "took too long") for name in acted.trouble)]

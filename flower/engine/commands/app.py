"""Commands about the program itself: stop, pages, state, help, goodbye."""

from __future__ import annotations

import difflib
import json

from flower.engine.commands.catalogue import help_text
from flower.engine.prompt.context import LORE_TOKENS, MAX_TOKENS
from flower.engine.prompt.lore_entries import FIRED
from flower.engine.sessions.engine import Engine
from flower.engine.sessions.session import Client
from flower.engine.store import exchanges, stories
from flower.errors import CommandError


async def cancel(engine: Engine, client: Client, argument: str) -> None:
    drafted = engine.drafts.cancel(client) or engine.character_drafts.cancel(client)
    if client.session is not None and engine.turns.cancel(client.session):
        return
    client.notify("✓ No draft then." if drafted else "Nothing is being written.")


async def go_on(engine: Engine, client: Client, argument: str) -> None:
    if client.session is None:
        raise CommandError("There is no story here yet; /session new starts one.")
    await engine.edits.go_on(client.session, client.chosen)


async def history(engine: Engine, client: Client, argument: str) -> None:
    if client.session is None:
        raise CommandError("There is no story here yet; /session new starts one.")
    if not argument.isdecimal():
        raise CommandError("Above which message? /history MESSAGE takes a message's number.")
    await engine.send_history(client, client.session, before=int(argument[:18]))


async def why(engine: Engine, client: Client, argument: str) -> None:
    """Shows the parts of a prompt, as they were stored with its reply."""
    if client.session is None:
        raise CommandError("There is no story here yet; /session new starts one.")
    words = argument.split()
    nearly = words[:1] == ["nearly"]
    argument = " ".join(words[1:] if nearly else words)
    if argument and not argument.isdecimal():
        raise CommandError("Of which reply? /why MESSAGE takes a message's number.")
    message = int(argument[:18]) if argument else None
    asked = exchanges.nearly_fired if nearly else exchanges.manifest
    manifest = await engine.services.database.read(asked, client.session.id, message)
    if manifest is None:
        what = "is known for this message" if argument else "has been sent in this story yet"
        raise CommandError(f"No prompt {what}.")
    if nearly:
        kept = [f"  {e.source}: {e.note}" for e in manifest] or ["  none"]
        client.notify("\n".join(["Entries that nearly fired:", *kept]))
        return
    rows = [f"{e.tokens:>6}  {e.section}: {e.source}  {e.note}".rstrip() for e in manifest]
    total = sum(e.tokens for e in manifest if e.section not in ("lore", "memory", FIRED))
    client.notify("\n".join([f"The prompt, about {total} tokens:", *rows]))


async def sync(engine: Engine, client: Client, argument: str) -> None:
    await engine.sync(client)


async def show_help(engine: Engine, client: Client, argument: str) -> None:
    client.notify(help_text(argument))


async def quit_(engine: Engine, client: Client, argument: str) -> None:
    client.goodbye()
    client.notify("Goodbye.")
    client.outbox.close()


# --- Sampler settings: /set lists, sets and takes back; per story, or per model in every story.

# Names as OpenAI and llama.cpp have them, with the least and the most that makes sense.
RANGES: dict[str, tuple[float, float]] = {
    LORE_TOKENS: (0, 100_000),  # ours: what lorebooks and recalled lore may have of a prompt
    MAX_TOKENS: (16, 100_000),  # the longest reply; prompt.reply_tokens says it for every story
    "temperature": (0, 5),
    "top_p": (0, 1),
    "top_k": (0, 1000),
    "min_p": (0, 1),
    "typical_p": (0, 1),
    "frequency_penalty": (-2, 2),
    "presence_penalty": (-2, 2),
    "repetition_penalty": (0, 3),
    "repeat_penalty": (0, 3),
    "seed": (-1, 2**63 - 1),
    "dry_multiplier": (0, 10),
    "xtc_probability": (0, 1),
    "xtc_threshold": (0, 1),
}
WORDS = {"reasoning_effort": ("none", "minimal", "low", "medium", "high")}
LISTS = ("stop",)
NAMES = (*RANGES, *WORDS, *LISTS)
WHOLE = ("top_k", "seed", LORE_TOKENS, MAX_TOKENS)


async def set_(engine: Engine, client: Client, argument: str) -> None:
    words = argument.split(None, 1)
    if words and words[0] == "model":
        await _set_for_model(engine, client, words[1] if len(words) > 1 else "")
    elif words:
        await _set_for_story(engine, client, *_parsed(argument))
    else:
        await _list(engine, client)


async def _set_for_story(engine: Engine, client: Client, name: str, value: object) -> None:
    if client.session is None:
        raise CommandError("There is no story here yet; /set model NAME VALUE sets it for the model.")
    await engine.services.database.write(stories.set_of_story, client.session.id, name, value)
    client.notify(f"✓ {name} is {_shown(value)} in this story.")


async def _set_for_model(engine: Engine, client: Client, argument: str) -> None:
    if not argument:
        raise CommandError("Which setting? /set model temperature 0.8 sets it for the chosen model.")
    name, value = _parsed(argument)
    model = client.chosen.model or engine.roster.default()
    await engine.services.database.write(stories.set_of_model, model, name, value)
    client.notify(f"✓ {name} is {_shown(value)} for {model}.")


async def _list(engine: Engine, client: Client) -> None:
    model = client.chosen.model or engine.roster.default()
    session_id = client.session.id if client.session is not None else ""
    own = await engine.services.database.read(stories.of_story, session_id, model)
    everywhere = dict(engine.services.params)
    rows = [f"{name} {_shown(value)}" for name, value in {**everywhere, **own}.items()]
    known = "It can be one of: " + ", ".join(NAMES) + ". /set NAME off takes a setting back."
    client.notify("\n".join([f"Settings for {model}:", *(rows or ["none: the model's own"]), known]))


def _parsed(argument: str) -> tuple[str, object]:
    """Returns name and value; the value None takes the setting back. Raises ``CommandError``."""
    name, _, text = argument.partition(" ")
    name, text = name.lower(), text.strip()
    if name not in NAMES:
        close = difflib.get_close_matches(name, NAMES, n=1)
        hint = f"Did you mean {close[0]}?" if close else "There is: " + ", ".join(NAMES) + "."
        raise CommandError(f"There is no setting {name!r}. {hint}")
    if text.lower() in ("off", "default", "none") and name not in WORDS:
        return name, None
    if name in LISTS:
        return name, [part.strip() for part in text.split("|") if part.strip()]
    if name in WORDS:
        if text == "off":
            return name, None
        if text not in WORDS[name]:
            raise CommandError(f"{name} is one of: {', '.join(WORDS[name])}.")
        return name, text
    least, most = RANGES[name]
    try:
        value = int(text) if name in WHOLE else float(text)
    except ValueError as error:
        raise CommandError(f"{name} takes a number from {least} to {most}, or off.") from error
    if not least <= value <= most:
        raise CommandError(f"{name} takes a number from {least} to {most}, or off.")
    return name, value


def _shown(value: object) -> str:
    return "off" if value is None else json.dumps(value, ensure_ascii=False)

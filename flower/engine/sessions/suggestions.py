"""Things to do next, offered when the player asks: by the model, offline by the narrator's own phrases.

No part of the story: they go to the one client that asked and are stored nowhere. The request is the story's own
prompt with another question at its end, so that a server's cache is good for it.
"""

from __future__ import annotations

from msgspec import Struct
from msgspec.structs import replace

from flower import limits
from flower.engine.prompt.context import gather
from flower.engine.prompt.model import ChosenModel, thinking_room
from flower.engine.prompt.request import build_prompt
from flower.engine.prompt.turn_input import TurnInput
from flower.engine.provider.answers import short_text
from flower.engine.provider.base import Completion
from flower.engine.provider.capabilities import Suggesting
from flower.engine.sessions.model_choice import ModelSelector
from flower.engine.sessions.reply_watch import LoopGuard
from flower.engine.sessions.runtime import Runtime
from flower.engine.sessions.session import Client, Session
from flower.engine.sessions.side_work import side_stream
from flower.engine.store import states, stories
from flower.engine.store.selections import Selection
from flower.errors import CommandError, ProviderError
from flower.protocol.messages import State
from flower.text import one_line, sanitize

COUNT = 3
SUGGESTION_CHARS = 200
SUGGESTIONS_CHARS = 1_000  # three, and what a model says before them
SUGGESTION_TOKENS = 160  # of three short lines
ASK = (
    "Now step out of the narrator's part for one message. Offer {who} three different things to do or say next,"
    " as the player would type them: in the first person, one short sentence each, no results, none like another."
    "{about} Write only these three lines, numbered 1 to 3."
)


class SuggestionRequest(Struct, frozen=True):
    """What a model is asked for suggestions, and the model."""

    model: ChosenModel
    completion: Completion


async def suggest(
    runtime: Runtime, models: ModelSelector, client: Client, session: Session, about: str
) -> None:
    """Sends the client three things to do next. Raises ``CommandError`` for a story without a beginning,
    ``ProviderError`` when the model fails or writes none."""
    request = await request_of(runtime, models, client.chosen, session, about)
    provider, completion, rng = request.model.provider, request.completion, runtime.services.rng
    if isinstance(provider, Suggesting):
        again = completion.cue.seed + rng.randrange(1_000)  # others when asked once more
        offered = await provider.suggestions(
            replace(completion, cue=replace(completion.cue, seed=again))
        )
    else:
        prepared = session.take_prepared(provider, completion)
        async with side_stream(
            runtime, client.chosen.client, request.model, completion, prepared=prepared
        ) as pieces:
            offered = parsed(await short_text(pieces, SUGGESTIONS_CHARS, LoopGuard))
    if not offered:
        raise ProviderError(
            "bad_request", "the model wrote none; ask again, or choose another model with /model."
        )
    rows = [f"{number}. {line}" for number, line in enumerate(offered, start=1)]
    client.notify("\n".join(["You could:", *rows]), State(suggestions=offered))


async def request_of(
    runtime: Runtime, models: ModelSelector, chosen: Selection, session: Session, about: str = ""
) -> SuggestionRequest:
    """Returns the request for three things to do next. Raises ``CommandError`` for a story without a beginning."""
    database = runtime.services.database
    path = await database.read(stories.active_path, session.id, most=limits.PROMPT_MESSAGES)
    if not path:
        raise CommandError("nothing has happened in this story yet.")
    model_id = models.story_model(chosen)
    model, _ = models.select(model_id)
    steering = await database.read(states.steering, session.id)
    who = steering.persona.name or "the player's character"
    task = TurnInput(
        turn=f"{session.id}-suggest",
        session_id=session.id,
        world_id=session.world_id,
        character_id=session.character_id,
        reply_id=0,
        leaf=path[-1].id,
        line=next((m.content for m in reversed(path) if m.role == "user"), ""),
        selection=chosen,
        model_id=model_id,
        ask=ASK.format(who=who, about=f" They should be about: {about}." if about else ""),
    )
    context = await gather(runtime.services, task)
    prompt = await build_prompt(runtime.services, task, model, context, session.window_start)
    if isinstance(model.provider, Suggesting):
        return SuggestionRequest(model, prompt.completion)
    completion = replace(
        prompt.completion,
        max_tokens=SUGGESTION_TOKENS + thinking_room(prompt.completion.context_tokens),
        player_names=(),
        quiet=True,
    )
    return SuggestionRequest(model, completion)


def parsed(text: str) -> tuple[str, ...]:
    """Returns the lines a model offers, without their numbers; one line with all three is cut apart."""
    text = sanitize(text).strip()
    for number in range(2, COUNT + 1):  # "1. This. 2. That."
        for sign in (".", ")"):
            text = text.replace(f" {number}{sign} ", f"\n{number}{sign} ")
    lines = [_bare(line) for line in text.splitlines()]
    numbered = [bare for bare, was in lines if bare and was]
    offered = numbered or [bare for bare, _ in lines if bare]
    return tuple(dict.fromkeys(one_line(line, SUGGESTION_CHARS) for line in offered))[:COUNT]


def _bare(line: str) -> tuple[str, bool]:
    """Returns a line without its number or dash, marks of emphasis and quotes, and whether it had one."""
    line = line.strip().strip("*_ ")
    rest = line.lstrip("0123456789")
    numbered = rest != line and rest[:1] in (".", ")", ":")
    if numbered:
        rest = rest[1:]
    elif line[:1] in "ABCabc" and line[1:2] in (".", ")"):
        rest, numbered = line[2:], True
    elif line[:1] in "-•–":
        rest, numbered = line[1:], True
    else:
        rest = line
    rest = rest.strip().strip("*_ ")
    if len(rest) > 1 and rest[0] in '"“' and rest[-1] in '"”' and '"' not in rest[1:-1]:
        rest = rest[1:-1].strip()
    return rest, numbered

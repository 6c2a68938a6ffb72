"""What clients send is carried out here: a slash command, or the player's line.

What carries a command out and who may give it is in ``registry``, what people read of it in ``catalogue``.
"""

from __future__ import annotations

from functools import partial

from msgspec import UNSET

from flower.engine.commands import lookup, registry
from flower.engine.sessions.engine import Engine
from flower.engine.sessions.session import Client
from flower.engine.store import prompts
from flower.engine.store.transactions import alongside
from flower.errors import FlowerError, FormError
from flower.protocol.messages import ErrorEvent, ErrorMeta, Prompt
from flower.text import sanitize


async def handle(engine: Engine, client: Client, prompt: Prompt) -> None:
    """Carries out one prompt; whatever is wrong with it becomes one ``error`` event.

    A prompt that comes again, because the connection broke before its answer, is answered and not done again.
    """
    request = prompt.request or None
    try:
        if prompt.client is not None and prompt.client != client.name:
            await engine.identify(client, prompt.client)
        client.request, client.answers, client.fields = request, [], prompt.fields or {}
        text = sanitize(prompt.prompt).strip()
        if request is None:
            await _carry_out(engine, client, text, None)
            return
        key = (client.key, request)
        whole = f"{text}\0{sorted(client.fields.items())}" if client.fields else text
        note = partial(
            prompts.note_request, client=key[0], request=request, prompt=whole, now=engine.now()
        )
        try:
            with alongside(note) as noted:
                await _carry_out(engine, client, text, request)
        except prompts.AlreadyDoneError as done:
            _answer_again(engine, client, key, text, str(done))
            return
        if noted.done:
            engine.answers.keep(key, tuple(client.answers))
    except FlowerError as error:
        if client.elsewhere is not None:
            return  # it goes to the engine that plays its story
        engine.metrics.error(type(error).__name__)
        wrong = error.problems if isinstance(error, FormError) and error.problems else UNSET
        client.send(ErrorEvent(str(error), ErrorMeta(request=prompt.request or UNSET, problems=wrong)))
    finally:
        client.request = None  # what is said from now on answers nothing


async def _carry_out(engine: Engine, client: Client, text: str, request: str | None) -> None:
    if not registry.looks(text.partition(" ")[0]):
        engine.turns.preparer.interrupt()
    if text.startswith("/") and not text.startswith("//"):
        await run(engine, client, text)
    elif text:
        client.check(registry.LINE)
        await _allow(engine, client, model=True, story=client.session is None)
        # a line of the story that begins with a slash has two
        await engine.say(client, text.removeprefix("/"), request)


def _answer_again(
    engine: Engine, client: Client, key: tuple[str, str], text: str, otherwise: str
) -> None:
    """Says again what was said of a command; a line's answer is the story, which the client has."""
    if text.startswith("/") and not text.startswith("//"):
        for answer in engine.answers.of(key) or (f"✓ {otherwise}",):
            client.notify(answer)


async def _allow(engine: Engine, client: Client, *, model: bool, story: bool) -> None:
    """Raises ``CommandError`` when a user has used what they may; the home's owner has no limits."""
    visitor = client.visitor
    if visitor.id:
        await engine.allowances.check(visitor.id, visitor.name, model=model, story=story)


async def run(engine: Engine, client: Client, text: str) -> None:
    """Carries out the command in ``text``; raises ``CommandError`` if it cannot be, or not by this client."""
    option, argument = lookup.parse(text)
    client.check(registry.need_of(option.name, argument))
    handler = registry.HANDLERS[option.name]
    if not handler.looks:
        begins = handler.begins_story or (handler.is_line and client.session is None)
        await _allow(engine, client, model=handler.asks_model, story=begins)
    await handler.action(engine, client, argument)

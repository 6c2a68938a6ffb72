"""What clients send is carried out here: a slash command, or the player's line."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial

from msgspec import UNSET

from flower.engine.commands import (
    app,
    authoring,
    browsing,
    editing,
    game,
    library,
    lookup,
    lorebooks,
    memories,
    models,
    personas,
    rights,
    sampling,
    scripts,
    settings,
    steering,
    stories,
    table,
    tree,
    world,
)
from flower.engine.sanitize import sanitize
from flower.engine.sessions.engine import Engine
from flower.engine.sessions.session import Client
from flower.engine.store import prompts
from flower.engine.store.database import alongside
from flower.errors import FlowerError, FormError
from flower.protocol.messages import ErrorEvent, ErrorMeta, Prompt

Action = Callable[[Engine, Client, str], Awaitable[None]]

ACTIONS: dict[str, Action] = {
    "/world select": world.select_world,
    "/world attach_lore": world.attach_lore,
    "/world sync_folder": world.sync_folder,
    "/world unsync": world.unsync,
    "/lore add": world.add_lore,
    "/lore list": world.list_lore,
    "/lore search": world.search_lore,
    "/lore show": world.show_lore,
    "/lore delete": world.delete_lore,
    "/lore test": lorebooks.test_entries,
    "/lorebook list": lorebooks.list_books,
    "/lorebook on": lorebooks.book_on,
    "/lorebook off": lorebooks.book_off,
    "/script list": scripts.list_scripts,
    "/script on": scripts.script_on,
    "/script off": scripts.script_off,
    "/lorebook show": authoring.show_book,
    "/lorebook new": partial(authoring.new, "lorebook"),
    "/lorebook edit": authoring.edit_book,
    "/lorebook copy": authoring.copy_book,
    "/lorebook delete": authoring.delete_book,
    "/recall": world.recall,
    "/memory list": world.list_memories,
    "/memory search": world.search_memories,
    "/memory show": memories.show_memory,
    "/memory edit": memories.edit_memory,
    "/memory forget": world.forget_memory,
    "/memory pin": world.pin_memory,
    "/summary": memories.show_summary,
    "/summary edit": memories.edit_summary,
    "/summary remake": memories.remake_summary,
    "/character select": world.select_character,
    "/character list": browsing.list_characters,
    "/character favourite": partial(browsing.favourite, "characters"),
    "/world favourite": partial(browsing.favourite, "worlds"),
    "/lorebook favourite": partial(browsing.favourite, "books"),
    "/library": browsing.send_page,
    "/character new": partial(authoring.new, "character"),
    "/character edit": partial(authoring.edit_asset, "character"),
    "/character draft": authoring.draft,
    "/character keep": authoring.keep,
    "/character copy": partial(authoring.copy_asset, "character"),
    "/character delete": partial(authoring.delete_asset, "character"),
    "/world new": partial(authoring.new, "world"),
    "/world edit": partial(authoring.edit_asset, "world"),
    "/world copy": partial(authoring.copy_asset, "world"),
    "/world delete": partial(authoring.delete_asset, "world"),
    "/rules new": partial(authoring.new, "rules"),
    "/rules edit": partial(authoring.edit_asset, "rules"),
    "/rules copy": partial(authoring.copy_asset, "rules"),
    "/rules delete": partial(authoring.delete_asset, "rules"),
    "/form save": editing.save_form,
    "/model": world.select_model,
    "/models refresh": world.refresh_models,
    "/set": sampling.set_,
    "/preset save": sampling.save_preset,
    "/preset load": sampling.load_preset,
    "/preset list": sampling.list_presets,
    "/preset delete": sampling.delete_preset,
    "/models get": models.get,
    "/rules add": world.add_rule,
    "/rules clear": world.clear_rules,
    "/rules on": steering.rule_on,
    "/rules off": steering.rule_off,
    "/nsfw": world.toggle_nsfw,
    "/session new": stories.new,
    "/session continue": stories.resume,
    "/session delete": stories.delete,
    "/session restore": stories.restore,
    "/session list": stories.list_all,
    "/session rename": stories.rename,
    "/session search": stories.search,
    "/session pin": stories.pin,
    "/session archive": stories.archive,
    "/retry": tree.retry,
    "/variants": tree.list_variants,
    "/variant": tree.choose_variant,
    "/edit": tree.edit,
    "/undo": tree.undo,
    "/redo": tree.redo,
    "/delete": tree.delete,
    "/hide": tree.hide,
    "/unhide": tree.unhide,
    "/remove": tree.remove,
    "/restore": tree.restore,
    "/branch": tree.branch,
    "/branches": tree.list_branches,
    "/checkout": tree.checkout,
    "/goto": tree.goto,
    "/tree": tree.show_tree,
    "/show": tree.show_message,
    "/export": stories.export,
    "/export character": library.export_character,
    "/export lorebook": library.export_lorebook,
    "/export preset": library.export_preset,
    "/export replies": library.export_replies,
    "/export library": library.export_library,
    "/table invite": table.invite,
    "/table leave": table.leave,
    "/table list": table.show,
    "/table code": table.code,
    "/table join": table.join,
    "/table order": table.order,
    "/whisper": table.whisper,
    "/roll": game.roll,
    "/check": game.check,
    "/note": steering.note,
    "/pin": steering.pin,
    "/unpin": steering.unpin,
    "/persona": steering.persona,
    "/persona list": personas.list_all,
    "/persona use": personas.use,
    "/persona save": personas.save,
    "/persona default": personas.default,
    "/persona bind": personas.bind,
    "/persona new": partial(authoring.new, "persona"),
    "/persona edit": authoring.edit_persona,
    "/persona copy": authoring.copy_persona,
    "/persona delete": personas.delete,
    "/as": steering.speak_as,
    "/ooc": steering.aside,
    "/me": steering.act,
    "/narrate": steering.narrate,
    "/impersonate": steering.impersonate,
    "/suggest": steering.suggest,
    "/cast": steering.show_cast,
    "/cast add": steering.add_to_cast,
    "/cast remove": steering.remove_from_cast,
    "/cast next": steering.next_in_cast,
    "/cast mode": steering.cast_mode,
    "/cast model": steering.cast_model,
    "/state": game.show_state,
    "/set-state": game.set_state,
    "/quest": game.show_quests,
    "/quest add": game.add_quest,
    "/quest done": game.finish_quest,
    "/quest failed": game.fail_quest,
    "/quest drop": game.drop_quest,
    "/inv": game.show_inventory,
    "/inv add": game.add_thing,
    "/inv drop": game.drop_thing,
    "/npc list": game.list_people,
    "/npc add": game.add_person,
    "/npc show": game.show_person,
    "/npc mood": game.change_mood,
    "/npc remove": game.remove_person,
    "/npc bring": game.bring_people,
    "/clock": game.list_clocks,
    "/clock add": game.add_clock,
    "/clock tick": game.tick_clock,
    "/clock remove": game.remove_clock,
    "/continue": app.go_on,
    "/cancel": app.cancel,
    "/history": app.history,
    "/why": app.why,
    "/why full": app.why_full,
    "/settings": settings.settings,
    "/reload": settings.reload,
    "/problems": settings.problems,
    "/sync": app.sync,
    "/typing": table.typing,
    "/portrait": library.send_portrait,
    "/help": app.show_help,
    "/quit": app.quit_,
}


# What a client asks for by itself, and what only looks: the model may go on working ahead.
LOOKS = frozenset({"/sync", "/history", "/tree", "/show", "/library", "/portrait", "/typing"})


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
    if text.partition(" ")[0] not in LOOKS:
        engine.turns.preparer.interrupt()
    if text.startswith("/") and not text.startswith("//"):
        await run(engine, client, text)
    elif text:
        client.check(rights.LINE)
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
    client.check(rights.need_of(option.name, argument))
    if option.name not in LOOKS:
        begins = rights.STORIES if client.session is not None else rights.STORIES | rights.SPEAKS
        model, story = option.name in rights.ASKS_MODEL, option.name in begins
        await _allow(engine, client, model=model, story=story)
    await ACTIONS[option.name](engine, client, argument)

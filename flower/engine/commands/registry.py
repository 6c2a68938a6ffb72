"""For every command: what carries it out, and what it needs of whoever gives it.

``HANDLERS`` has a row for each command of the catalogue, in its order; ``dispatch`` asks ``need_of`` before it carries
anything out, and the table in ``docs/remote.md`` is this one. What changes something of a library asks whose it is
(``Client.check_own``). A command that takes the id of a story needs no role at the story that is open: it asks
``sessions.rights`` about the one it is given.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from functools import partial

from msgspec import Struct

from flower.engine.commands import (
    authoring,
    cast,
    editing,
    exports,
    game,
    library,
    lorebooks,
    memories,
    models,
    program,
    scripts,
    steering,
    stories,
    table,
    tree,
    world,
)
from flower.engine.sessions.engine import Engine
from flower.engine.sessions.rights import Need
from flower.engine.sessions.session import Client
from flower.errors import CommandError

Action = Callable[[Engine, Client, str], Awaitable[None]]


class Handler(Struct, frozen=True):
    """What carries a command out, and what it needs of whoever gives it.

    ``with_words``: it only shows something when nothing is behind it, and needs this when something is.
    ``asks_model``: it asks a model for something, or may. ``begins_story``: it begins one; ``is_line``: it is a line,
    which begins one where none is open. ``looks``: clients ask for it by themselves, or it only looks, so that the
    model may go on working ahead.
    """

    action: Action
    need: Need
    with_words: Need | None = None
    asks_model: bool = False
    begins_story: bool = False
    is_line: bool = False
    looks: bool = False


ANYONE, READER, PLAYER, OWNER, HOME = Need.ANYONE, Need.READER, Need.PLAYER, Need.OWNER, Need.HOME
LINE = PLAYER  # what a line of the story needs

HANDLERS: Mapping[str, Handler] = {
    # This story
    "/retry": Handler(tree.retry, PLAYER, asks_model=True),
    "/variants": Handler(tree.list_variants, READER),
    "/variant": Handler(tree.choose_variant, OWNER),
    "/continue": Handler(tree.go_on, PLAYER, asks_model=True),
    "/cancel": Handler(tree.cancel, PLAYER),
    "/edit": Handler(tree.edit, OWNER, asks_model=True),
    "/undo": Handler(tree.undo, OWNER),
    "/redo": Handler(tree.redo, OWNER),
    "/hide": Handler(tree.hide, OWNER),
    "/unhide": Handler(tree.unhide, OWNER),
    "/remove": Handler(tree.remove, OWNER),
    "/delete": Handler(tree.delete, OWNER),
    "/restore": Handler(tree.restore, OWNER),
    "/history": Handler(stories.history, READER, looks=True),
    "/export": Handler(exports.export, READER),
    "/export character": Handler(exports.export_character, ANYONE),
    "/export lorebook": Handler(exports.export_lorebook, ANYONE),
    "/export preset": Handler(exports.export_preset, ANYONE),
    "/export replies": Handler(exports.export_replies, ANYONE),
    "/export library": Handler(exports.export_library, HOME),
    # Its tree
    "/tree": Handler(tree.show_tree, READER, looks=True),
    "/show": Handler(tree.show_message, READER, looks=True),
    "/branch": Handler(tree.branch, OWNER),
    "/branches": Handler(tree.list_branches, READER),
    "/checkout": Handler(tree.checkout, OWNER),
    "/goto": Handler(tree.goto, OWNER),
    # All stories
    "/session new": Handler(stories.new, ANYONE, begins_story=True),
    "/session continue": Handler(stories.resume, ANYONE),
    "/session delete": Handler(stories.delete, ANYONE),
    "/session restore": Handler(stories.restore, ANYONE),
    "/session list": Handler(stories.list_all, ANYONE),
    "/session rename": Handler(stories.rename, OWNER),
    "/session search": Handler(stories.search, ANYONE),
    "/session pin": Handler(stories.pin, ANYONE),
    "/session archive": Handler(stories.archive, ANYONE),
    # World and character
    "/world select": Handler(world.select_world, ANYONE),
    "/world attach_lore": Handler(world.attach_lore, ANYONE),
    "/world sync_folder": Handler(world.sync_folder, HOME),
    "/world unsync": Handler(world.unsync, HOME),
    "/character select": Handler(cast.select_character, OWNER),
    "/character list": Handler(library.list_characters, ANYONE),
    "/character new": Handler(partial(authoring.new, "character"), ANYONE),
    "/character draft": Handler(authoring.draft, ANYONE, asks_model=True),
    "/character keep": Handler(authoring.keep, ANYONE),
    "/character edit": Handler(partial(authoring.edit_asset, "character"), ANYONE),
    "/character copy": Handler(partial(authoring.copy_asset, "character"), ANYONE),
    "/character delete": Handler(partial(authoring.delete_asset, "character"), ANYONE),
    "/character favourite": Handler(partial(library.favourite, "characters"), ANYONE),
    "/world favourite": Handler(partial(library.favourite, "worlds"), ANYONE),
    "/world new": Handler(partial(authoring.new, "world"), ANYONE),
    "/world edit": Handler(partial(authoring.edit_asset, "world"), ANYONE),
    "/world copy": Handler(partial(authoring.copy_asset, "world"), ANYONE),
    "/world delete": Handler(partial(authoring.delete_asset, "world"), ANYONE),
    # Lore and memory
    "/lore add": Handler(world.add_lore, ANYONE),
    "/lore list": Handler(world.list_lore, ANYONE),
    "/lore search": Handler(world.search_lore, ANYONE),
    "/lore show": Handler(world.show_lore, ANYONE),
    "/lore delete": Handler(world.delete_lore, ANYONE),
    "/lore test": Handler(lorebooks.test_entries, READER),
    "/lorebook list": Handler(lorebooks.list_books, ANYONE),
    "/lorebook on": Handler(lorebooks.book_on, OWNER),
    "/lorebook off": Handler(lorebooks.book_off, OWNER),
    "/script list": Handler(scripts.list_scripts, ANYONE),
    "/script on": Handler(scripts.script_on, ANYONE),
    "/script off": Handler(scripts.script_off, ANYONE),
    "/lorebook show": Handler(authoring.show_book, ANYONE),
    "/lorebook favourite": Handler(partial(library.favourite, "books"), ANYONE),
    "/lorebook new": Handler(partial(authoring.new, "lorebook"), ANYONE),
    "/lorebook edit": Handler(authoring.edit_book, ANYONE),
    "/lorebook copy": Handler(authoring.copy_book, ANYONE),
    "/lorebook delete": Handler(authoring.delete_book, ANYONE),
    "/recall": Handler(memories.recall, READER),
    "/memory list": Handler(memories.list_memories, READER),
    "/memory search": Handler(memories.search_memories, READER),
    "/memory show": Handler(memories.show_memory, READER),
    "/memory edit": Handler(memories.edit_memory, OWNER),
    "/memory forget": Handler(memories.forget_memory, OWNER),
    "/memory pin": Handler(memories.pin_memory, OWNER),
    "/summary": Handler(memories.show_summary, READER),
    "/summary edit": Handler(memories.edit_summary, OWNER),
    "/summary remake": Handler(memories.remake_summary, OWNER, asks_model=True),
    # Narrator
    "/model": Handler(models.select_model, ANYONE),
    "/models refresh": Handler(models.refresh_models, HOME),
    "/models get": Handler(models.get, HOME),
    "/set": Handler(models.set_, OWNER),
    "/preset save": Handler(models.save_preset, OWNER),
    "/preset load": Handler(models.load_preset, OWNER),
    "/preset list": Handler(models.list_presets, ANYONE),
    "/preset delete": Handler(models.delete_preset, ANYONE),
    "/rules add": Handler(steering.add_rule, OWNER),
    "/rules clear": Handler(steering.clear_rules, OWNER),
    "/rules on": Handler(steering.rule_on, OWNER),
    "/rules off": Handler(steering.rule_off, OWNER),
    "/rules new": Handler(partial(authoring.new, "rules"), ANYONE),
    "/rules edit": Handler(partial(authoring.edit_asset, "rules"), ANYONE),
    "/rules copy": Handler(partial(authoring.copy_asset, "rules"), ANYONE),
    "/rules delete": Handler(partial(authoring.delete_asset, "rules"), ANYONE),
    "/nsfw": Handler(steering.toggle_nsfw, ANYONE),
    "/why full": Handler(memories.why_full, OWNER),
    "/why": Handler(memories.why, READER),
    # Voices
    "/persona": Handler(cast.persona, PLAYER),
    "/persona list": Handler(cast.list_all, ANYONE),
    "/persona use": Handler(cast.use, PLAYER),
    "/persona save": Handler(cast.save, OWNER),
    "/persona default": Handler(cast.default, ANYONE),
    "/persona bind": Handler(cast.bind, ANYONE),
    "/persona new": Handler(partial(authoring.new, "persona"), ANYONE),
    "/persona edit": Handler(authoring.edit_persona, ANYONE),
    "/persona copy": Handler(authoring.copy_persona, ANYONE),
    "/persona delete": Handler(cast.delete, ANYONE),
    "/cast": Handler(cast.show_cast, READER, with_words=OWNER),
    "/cast add": Handler(cast.add_to_cast, OWNER),
    "/cast remove": Handler(cast.remove_from_cast, OWNER),
    "/cast next": Handler(cast.next_in_cast, OWNER),
    "/cast mode": Handler(cast.cast_mode, OWNER),
    "/cast model": Handler(cast.cast_model, OWNER),
    "/me": Handler(steering.act, PLAYER, asks_model=True, is_line=True),
    "/as": Handler(steering.speak_as, OWNER, asks_model=True, is_line=True),
    "/ooc": Handler(steering.aside, PLAYER, asks_model=True, is_line=True),
    "/narrate": Handler(steering.narrate, OWNER, asks_model=True),
    "/suggest": Handler(steering.suggest, PLAYER, asks_model=True),
    "/impersonate": Handler(steering.impersonate, PLAYER, asks_model=True),
    # At a table
    "/table invite": Handler(table.invite, OWNER),
    "/table leave": Handler(table.leave, READER),
    "/table list": Handler(table.show, READER),
    "/table code": Handler(table.code, OWNER),
    "/table join": Handler(table.join, ANYONE),
    "/table order": Handler(table.order, OWNER),
    "/whisper": Handler(table.whisper, READER),
    # Steering
    "/note": Handler(steering.note, OWNER),
    "/pin": Handler(steering.pin, OWNER),
    "/unpin": Handler(steering.unpin, OWNER),
    # Dice
    "/roll": Handler(game.roll, PLAYER),
    "/check": Handler(game.check, PLAYER),
    # State
    "/state": Handler(game.show_state, READER, with_words=OWNER),
    "/set-state": Handler(game.set_state, OWNER),
    "/quest": Handler(game.show_quests, READER, with_words=OWNER),
    "/quest add": Handler(game.add_quest, PLAYER),
    "/quest done": Handler(game.finish_quest, OWNER),
    "/quest failed": Handler(game.fail_quest, OWNER),
    "/quest drop": Handler(game.drop_quest, OWNER),
    "/inv": Handler(game.show_inventory, READER, with_words=OWNER),
    "/inv add": Handler(game.add_thing, PLAYER),
    "/inv drop": Handler(game.drop_thing, PLAYER),
    # People
    "/npc list": Handler(game.list_people, READER),
    "/npc add": Handler(game.add_person, PLAYER),
    "/npc show": Handler(game.show_person, READER),
    "/npc mood": Handler(game.change_mood, OWNER),
    "/npc remove": Handler(game.remove_person, OWNER),
    "/npc bring": Handler(game.bring_people, OWNER),
    # Clocks
    "/clock": Handler(game.list_clocks, READER, with_words=OWNER),
    "/clock add": Handler(game.add_clock, OWNER),
    "/clock tick": Handler(game.tick_clock, OWNER),
    "/clock remove": Handler(game.remove_clock, OWNER),
    # Flower
    "/help": Handler(program.show_help, ANYONE),
    "/form save": Handler(editing.save_form, ANYONE),
    "/library": Handler(library.send_page, ANYONE, looks=True),
    "/settings": Handler(program.settings, HOME),
    "/reload": Handler(program.reload, HOME),
    "/problems": Handler(program.problems, HOME),
    "/sync": Handler(program.sync, ANYONE, looks=True),
    "/portrait": Handler(library.send_portrait, ANYONE, looks=True),
    "/typing": Handler(table.typing, PLAYER, looks=True),
    "/quit": Handler(program.quit_, ANYONE),
}


def need_of(command: str, argument: str = "") -> Need:
    """Returns what a command needs. Raises ``CommandError`` for one that nobody has thought about."""
    handler = HANDLERS.get(command)
    if handler is None:
        raise CommandError(f"{command} is in no row of the table of commands.")
    return handler.with_words if argument and handler.with_words is not None else handler.need


def looks(command: str) -> bool:
    """Returns whether a command leaves what the model works ahead alone; False for what is none."""
    return command in HANDLERS and HANDLERS[command].looks

"""For every command: what carries it out, and what it needs of whoever gives it.

``ACTIONS`` and ``NEEDS`` have a row for each command of the catalogue; ``dispatch`` asks ``need_of`` before it carries
anything out, and the table in ``docs/remote.md`` is this one. What changes something of a library asks whose it is
(``Client.check_own``). A command that takes the id of a story needs no role at the story that is open: it asks
``sessions.rights`` about the one it is given.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from functools import partial

from flower.engine.commands import (
    app,
    authoring,
    browsing,
    editing,
    game,
    library,
    lorebooks,
    memories,
    models,
    personas,
    sampling,
    scripts,
    settings,
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

# --- who may ---

LINE = Need.PLAYER  # a line of the story

_ANYONE = """
    /world select|/character list|/model|/nsfw|/session new|/session continue|/session delete|/session restore
    /session list|/session search|/session pin|/session archive|/library|/portrait|/preset list|/preset delete
    /persona list|/persona default|/persona bind|/persona new|/persona edit|/persona copy|/persona delete
    /portrait|/character favourite|/world favourite|/lorebook favourite|/lore list|/lore search|/lore show
    /lorebook list|/lorebook show|/script list|/form save|/sync|/help|/quit|/table join
    /export character|/export lorebook|/export preset|/export replies
    /world attach_lore|/world new|/world edit|/world copy|/world delete|/lore add|/lore delete
    /lorebook new|/lorebook edit|/lorebook copy|/lorebook delete|/script on|/script off
    /character new|/character edit|/character draft|/character keep|/character copy|/character delete
    /rules new|/rules edit|/rules copy|/rules delete
"""
_READER = """
    /variants|/tree|/show|/branches|/history|/export|/why|/memory list|/memory search|/memory show|/summary|/recall
    /cast|/table list|/table leave|/whisper
    /state|/quest|/inv|/npc list|/npc show|/clock|/lore test
"""
_PLAYER = """
    /typing|/cancel|/continue|/ooc|/me|/suggest|/impersonate|/roll|/check|/retry
    /quest add|/inv add|/inv drop|/npc add|/persona|/persona use
"""
_OWNER = """
    /table invite|/table code|/table order|/persona save
    /character select|/variant|/edit|/undo|/redo|/hide|/unhide|/remove|/delete|/restore|/branch|/checkout|/goto
    /session rename|/memory edit|/memory forget|/memory pin|/summary edit|/summary remake|/set|/preset save
    /preset load|/rules add|/rules clear|/rules on|/rules off|/why full|/lorebook on|/lorebook off
    /cast add|/cast remove|/cast next|/cast mode|/cast model|/as|/narrate|/note|/pin|/unpin|/set-state
    /quest done|/quest failed|/quest drop|/npc mood|/npc remove|/npc bring|/clock add|/clock tick|/clock remove
"""
_HOME = """
    /world sync_folder|/world unsync|/models refresh|/models get|/export library|/settings|/reload|/problems
"""


def _named(names: str) -> tuple[str, ...]:
    return tuple(
        name.strip() for line in names.splitlines() for name in line.split("|") if name.strip()
    )


NEEDS: Mapping[str, Need] = {
    **dict.fromkeys(_named(_ANYONE), Need.ANYONE),
    **dict.fromkeys(_named(_READER), Need.READER),
    **dict.fromkeys(_named(_PLAYER), Need.PLAYER),
    **dict.fromkeys(_named(_OWNER), Need.OWNER),
    **dict.fromkeys(_named(_HOME), Need.HOME),
}


# These only show something when nothing stands behind them, and change it when something does.
CHANGING_WITH_WORDS = frozenset({"/state", "/quest", "/inv", "/clock", "/cast"})


# These ask a model for something, or may.
ASKS_MODEL = frozenset(
    _named(
        "/retry|/continue|/ooc|/me|/as|/narrate|/suggest|/impersonate|/summary remake|/edit|/character draft"
    )
)
STORIES = frozenset({"/session new"})  # begin one
SPEAKS = frozenset({"/me", "/ooc", "/as"})  # are lines, which begin one where none is open


def need_of(command: str, argument: str = "") -> Need:
    """Returns what a command needs. Raises ``CommandError`` for one that nobody has thought about."""
    if argument and command in CHANGING_WITH_WORDS:
        return Need.OWNER
    need = NEEDS.get(command)
    if need is None:
        raise CommandError(f"{command} is in no row of the table of rights.")
    return need

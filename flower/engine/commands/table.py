"""Which function carries out which slash command."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from flower.engine.commands import (
    catalogue,
    choices,
    control,
    craft,
    export,
    game,
    lore,
    sessions,
    settings,
    tree,
)

if TYPE_CHECKING:
    from flower.engine.engine import Client, Engine

Action = Callable[["Engine", "Client", str], Awaitable[None]]

ACTIONS: dict[str, Action] = {
    "/world select": choices.select_world,
    "/world attach_lore": choices.attach_lore,
    "/world sync_folder": lore.sync_folder,
    "/world unsync": lore.unsync,
    "/lore add": choices.add_lore,
    "/lore list": lore.list_lore,
    "/lore search": lore.search_lore,
    "/lore show": lore.show_lore,
    "/lore delete": lore.delete_lore,
    "/memory list": lore.list_memories,
    "/memory search": lore.search_memories,
    "/memory forget": lore.forget_memory,
    "/memory pin": lore.pin_memory,
    "/character select": choices.select_character,
    "/model": choices.select_model,
    "/models refresh": choices.refresh_models,
    "/set": settings.set_,
    "/rules add": choices.add_rule,
    "/rules clear": choices.clear_rules,
    "/rules on": craft.rule_on,
    "/rules off": craft.rule_off,
    "/nsfw": choices.toggle_nsfw,
    "/session new": sessions.new,
    "/session continue": sessions.resume,
    "/session delete": sessions.delete,
    "/session restore": sessions.restore,
    "/session list": sessions.list_all,
    "/session rename": sessions.rename,
    "/session search": sessions.search,
    "/session pin": sessions.pin,
    "/session archive": sessions.archive,
    "/retry": tree.retry,
    "/variants": tree.list_variants,
    "/variant": tree.choose_variant,
    "/edit": tree.edit,
    "/undo": tree.undo,
    "/redo": tree.redo,
    "/delete": tree.delete,
    "/restore": tree.restore,
    "/branch": tree.branch,
    "/branches": tree.list_branches,
    "/checkout": tree.checkout,
    "/goto": tree.goto,
    "/export": export.export,
    "/roll": game.roll,
    "/check": game.check,
    "/note": craft.note,
    "/pin": craft.pin,
    "/unpin": craft.unpin,
    "/persona": craft.persona,
    "/as": craft.speak_as,
    "/ooc": craft.aside,
    "/narrate": craft.narrate,
    "/impersonate": craft.impersonate,
    "/cast": craft.show_cast,
    "/cast add": craft.add_to_cast,
    "/cast remove": craft.remove_from_cast,
    "/cast next": craft.next_in_cast,
    "/cast mode": craft.cast_mode,
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
    "/continue": control.go_on,
    "/cancel": control.cancel,
    "/history": control.history,
    "/why": control.why,
    "/sync": control.sync,
    "/help": control.show_help,
    "/quit": control.quit_,
}


async def run(engine: Engine, client: Client, text: str) -> None:
    """Carries out the command in ``text``; raises ``CommandError`` if it cannot be."""
    option, argument = catalogue.parse(text)
    await ACTIONS[option.name](engine, client, argument)

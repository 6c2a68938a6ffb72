"""How a reply is to be written: the texts of world, rules, cast and state, ready for a prompt. Pure.

Brings together what people wrote (assets, notes, pins; macros are expanded here) and the state
of the story. Nothing a model or a player wrote in the story is expanded.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from flower.engine.assets.kinds import Assets, Character, World
from flower.engine.game import proposals, steering
from flower.engine.game.clocks import Now, ambience_at
from flower.engine.game.state import StoryState
from flower.engine.prompt.assemble import Inset, Section
from flower.engine.prompt.macros import NOBODY, Expanded, Values, expand, key_of, run
from flower.engine.prompt.sections import (
    cast_section,
    fact_sections,
    split_original,
    state_sections,
    system_sections,
)
from flower.engine.provider.base import Role
from flower.engine.recall.base import Hit, cast_scope
from flower.engine.store.selections import Selection
from flower.engine.store.states import CurrentState
from flower.engine.store.stories import Message

SCENE_CHARS = 4_000  # of a message, from its end, in which names of people are looked for

SYSTEM_PROMPT, AFTER_HISTORY = "system_prompt", "post_history_instructions"  # may be silenced
SCENE_MESSAGES = 2  # right before the line: who is named there is in the scene


class StoryRef(Struct, frozen=True):
    """Which story it is and which character and model it has."""

    session: str
    world_id: str
    character_id: str
    model: str = ""


class Direction(Struct, frozen=True, kw_only=True):
    """The parts of a prompt beside the story itself.

    ``sections`` are stable and come first; ``tail`` is the current state at the newest line and goes right
    before it, unless it is in view; ``insets`` go further up. ``note_every``: so many lines may lie
    between two tellings of the author's note.
    ``speaker``: id of the character the reply belongs to, "" when that is open; ``model``: the id of the
    speaker's own one, "" for the story's. ``knowing``: whose lore may be in this reply.
    ``variables``: as the note's macros leave them, None when they set none. ``world`` and ``character``
    are as in the prompt, with their macros expanded.
    """

    sections: tuple[Section, ...]
    values: Values  # of macros in the stable part
    live: Values | None = None  # of what is written anew with every line, as the note leaves them
    tail: tuple[Section, ...] = ()
    insets: tuple[Inset, ...] = ()
    note_every: int = 1
    speaker: str = ""
    model: str = ""
    knowing: tuple[Character, ...] = ()
    variables: Mapping[str, str] | None = None
    world: World | None = None
    character: Character | None = None
    played: tuple[Character, ...] = ()


def direct(
    assets: Assets,
    chosen: Selection,
    place: StoryRef,
    current: CurrentState,
    path: Sequence[Message],
    line: str,
    *,
    variables: Mapping[str, str],
    continues: bool = False,
    updates: bool = False,
    outlets: Mapping[str, str] = {},
    silenced: frozenset[str] = frozenset(),
) -> Direction:
    """Returns how the reply to ``line``, the newest on ``path``, is to be written.

    ``variables`` are those of macros before this line, so that a second try of its reply sets them to the
    same. ``continues``: it is the last reply that goes on. ``updates``: the narrator may propose changes of
    the state sheet. ``outlets``: texts of lorebooks by the names under which texts may ask for them;
    ``silenced``: which of ``system_prompt`` and ``post_history_instructions`` entries want left out.
    """
    steered = current.steering
    members = _members(assets, place.character_id, steered.cast)
    names = {character.id: character.name for character in members}
    speaker = (
        current.speaker if continues else steering.speaker(steered.cast, names, line, current.speaker)
    )
    fixed = values_of(assets, place, current, members[0] if members else None)
    fixed = replace(fixed, outlets=outlets)
    now = live(fixed, place, current, variables, path)
    now = replace(now, char=names.get(speaker, fixed.char))
    world = expanded_world(assets.worlds.get(place.world_id), fixed)
    played = [played_by(c, fixed, base=assets.system_rules) for c in members]
    note = run(steered.note.text, now) if steered.note is not None else None
    return Direction(
        sections=_stable_sections(
            assets, chosen, current, world, played, fixed, updates=updates, silenced=silenced
        ),
        values=fixed,
        live=replace(now, variables=note.variables) if note is not None else now,
        tail=state_sections(
            current.state,
            current.now,
            ambience=ambience_of(world, place.session, current),
            note=note.text if note is not None and not _has_depth(steered) else "",
            speaking=steering.speaker_text(speaker, names),
            scene=[m.content[-SCENE_CHARS:] for m in path[-SCENE_MESSAGES - 1 : -1]],
            line=line,
        ),
        insets=_insets(members, now, current, note, silenced),
        note_every=steered.note.every if steered.note is not None else 1,
        speaker=speaker,
        model=model_of(speaker, members, steered.cast),
        knowing=tuple(c for c in members if speaker not in names or c.id == speaker),
        variables=changed(note, now) if note is not None else None,
        world=world,
        character=next((c for c in played if c.id == speaker), played[0] if played else None),
        played=tuple(played),
    )


def _has_depth(steered: steering.Steering) -> bool:
    """Whether the author's note goes among the messages, not with the newest line."""
    return steered.note is not None and bool(steered.note.depth)


def _insets(
    members: Sequence[Character],
    now: Values,
    current: CurrentState,
    note: Expanded | None,
    silenced: frozenset[str],
) -> tuple[Inset, ...]:
    """Returns what goes among the messages: of the story's own character, and the author's note if it is due."""
    insets = insets_of(members[0], now, silenced) if members else ()
    written = current.steering.note
    if written is None or note is None or not written.depth or not written.due(current.now.lines):
        return insets
    return (*insets, Inset(f"[{note.text}]", written.depth))


def _stable_sections(
    assets: Assets,
    chosen: Selection,
    current: CurrentState,
    world: World | None,
    played: Sequence[Character],
    fixed: Values,
    *,
    updates: bool,
    silenced: frozenset[str],
) -> tuple[Section, ...]:
    """Returns the beginning of the prompt, which stays as it is from line to line."""
    steered, state = current.steering, current.state
    chosen_rules = steering.rules_on(chosen.rules, steered.rules)
    rules = [assets.rules[rule] for rule in chosen_rules if rule in assets.rules]
    persona = replace(steered.persona, text=expand(steered.persona.text, fixed)).prompt_text
    persona = "\n".join(part for part in (persona, steered.players_text) if part)
    pins = tuple(expand(pin, fixed) for pin in state.pins)
    rules_of_telling = played[0].system_prompt if played else assets.system_rules
    sections = (
        *system_sections(
            "" if SYSTEM_PROMPT in silenced else rules_of_telling,
            [replace(rule, prompt=expand(rule.prompt, fixed)) for rule in rules],
            world,
            played[0] if played else None,
            nsfw=chosen.nsfw,
        ),
        *(cast_section(character) for character in played[1:]),
        *fact_sections(replace(state, pins=pins), persona),
    )
    if updates:
        return (*sections, Section("state updates", "config.yaml", proposals.INSTRUCTION, 65))
    return sections


def played_by(character: Character, fixed: Values, base: str) -> Character:
    """Returns a character with the macros of their texts expanded, and the system prompt they are played with.

    ``base`` are the rules that hold without one. They are put in as they are.
    """
    values = replace(fixed, char=character.called, description="")
    own = [expand(part, values) for part in split_original(character.system_prompt)]
    return replace(
        character,
        persona=expand(character.persona, values),
        scenario=expand(character.scenario, values),
        example_dialogue=expand(character.example_dialogue, values),
        system_prompt=base.join(own) if character.system_prompt.strip() else base,
    )


def insets_of(
    character: Character, now: Values, silenced: frozenset[str] = frozenset()
) -> tuple[Inset, ...]:
    """Returns what a story's own character wants close to the newest line.

    Post-history instructions go with that line: so a reply that is written changes nothing of what
    is before it.
    """
    insets = []
    depth = character.depth_prompt
    if depth is not None and depth.text.strip():
        # Between messages few chat templates know a system, so that the player's side tells it.
        role: Role = "assistant" if depth.role == "assistant" and depth.depth else "user"
        insets.append(Inset(expand(depth.text, now), depth.depth - 1, role))
    after = "".join(split_original(character.post_history_instructions))
    if after.strip() and AFTER_HISTORY not in silenced:
        insets.append(Inset(expand(after, now), 0))
    return tuple(insets)


def model_of(speaker: str, members: Sequence[Character], chosen: steering.Cast) -> str:
    """Returns the id of the model that speaks for a character, "" for the story's."""
    own = {character.id: character.model for character in members}
    return chosen.models.get(speaker, own.get(speaker, ""))


def changed(expanded: Expanded, values: Values) -> dict[str, str] | None:
    """Returns the variables of macros as a text leaves them, without those of the sheet; None: as before."""
    if expanded.variables == values.variables:
        return None
    old = values.variables
    return {
        name: value
        for name, value in expanded.variables.items()
        if name not in values.sheet or old.get(name) != value
    }


def greetings(
    assets: Assets, place: StoryRef, persona: steering.Persona, now: float
) -> tuple[Expanded, ...]:
    """Returns the words a new story can begin with, the first choice first, and the variables they set.

    They are the character's, else the world's; none where neither has any.
    """
    current = CurrentState(StoryState(), steering.Steering(persona=persona), Now(0, now), now)
    character = assets.characters.get(place.character_id)
    values = values_of(assets, place, current, character)
    world = assets.worlds.get(place.world_id)
    texts: tuple[str, ...] = (world.start_message,) if world is not None else ()
    if character is not None and any((character.greeting, *character.alternate_greetings)):
        texts = (character.greeting, *character.alternate_greetings)
    return tuple(run(text, values) for text in texts if text.strip())


def greetings_of_cast(
    assets: Assets, place: StoryRef, steered: steering.Steering, now: float
) -> tuple[Expanded, ...]:
    """Returns the words with which a story of several characters can begin: what their cards have for that alone."""
    members = _members(assets, place.character_id, steered.cast)
    current = CurrentState(StoryState(), steered, Now(0, now), now)
    return tuple(
        run(text, values_of(assets, place, current, member))
        for member in (members if len(members) > 1 else ())
        for text in member.group_greetings
        if text.strip()
    )


def values_of(
    assets: Assets, place: StoryRef, current: CurrentState, character: Character | None = None
) -> Values:
    """Returns what macros stand for in the stable part of a story's prompts: the same in every prompt."""
    world = assets.worlds.get(place.world_id)
    steered = current.steering
    return Values(
        original="",  # a text that replaces none is better without its name
        moment=datetime.fromtimestamp(current.begun).astimezone(),
        story_seed=place.session,
        seed=place.session,
        user=steered.persona.name or NOBODY,
        char=character.called if character is not None else "the narrator",
        persona=steered.persona.text,
        **_card(character),
        scenario=_scenario(character, world),
        world=world.name if world is not None else "",
        group=", ".join(c.name for c in _members(assets, "", steered.cast)),
        model=place.model,
    )


def _card(character: Character | None) -> dict[str, Any]:
    """Returns what macros stand for of the fields of a card; old names of people in them are plain."""
    if character is None:
        return {}
    depth = character.depth_prompt
    return {
        "description": character.persona,
        "char_prompt": character.system_prompt,
        "char_instruction": character.post_history_instructions,
        "depth_prompt": depth.text if depth is not None else "",
        "creator_notes": character.notes,
        "char_version": character.version,
        "examples": character.example_dialogue,
        "greetings": (character.greeting, *character.alternate_greetings),
    }


def _scenario(character: Character | None, world: World | None) -> str:
    own = character.scenario if character is not None else ""
    return own or (world.scene if world is not None else "")


def live(
    values: Values,
    place: StoryRef,
    current: CurrentState,
    variables: Mapping[str, str],
    path: Sequence[Message],
) -> Values:
    """Returns what macros stand for in texts that are written anew with every line: as things are now."""
    sheet = current.state.sheet
    flags = {key_of(name): value for name, value in sheet.flags.items()}
    counters = {key_of(name): str(counter.value) for name, counter in sheet.counters.items()}
    lines = [m for m in path if m.role == "user"]
    replies = [m for m in path if m.role == "assistant"]
    return replace(
        values,
        moment=datetime.fromtimestamp(current.now.time).astimezone(),
        seed=f"{place.session}:{current.now.lines}",
        sheet=frozenset({*flags, *counters} - variables.keys()),
        variables={**flags, **counters, **variables},
        last_message=path[-1].content if path else "",
        last_message_id=str(path[-1].id) if path else "",
        last_user_message=lines[-1].content if lines else "",
        last_char_message=replies[-1].content if replies else "",
        idle_s=max(path[-1].created - path[-2].created, 0.0) if len(path) > 1 else 0.0,
    )


def expanded_world(world: World | None, values: Values) -> World | None:
    """Returns a world with the macros of its short texts expanded; its lore is expanded when recalled."""
    if world is None:
        return None
    return replace(
        world,
        scene=expand(world.scene, values),
        system_prompt=expand(world.system_prompt, values),
    )


def expanded_lore(hits: Sequence[Hit], direction: Direction) -> tuple[Hit, ...]:
    """Returns recalled passages with the macros of lore expanded; memories are what was said and stay."""
    names = {cast_scope(character.id): character.name for character in direction.knowing}

    def expanded(item: Hit) -> Hit:
        passage = item.passage
        if passage.kind != "lore":
            return item
        values = replace(direction.values, char=names.get(passage.scope, direction.values.char))
        return replace(item, passage=replace(passage, text=expand(passage.text, values)))

    return tuple(expanded(item) for item in hits)


def ambience_of(world: World | None, session: str, current: CurrentState) -> dict[str, str]:
    """Returns what the world's ambience is now, by name; nothing for a world without."""
    if world is None or world.ambience is None:
        return {}
    return ambience_at(world.ambience, session, current.now.lines)


def _members(assets: Assets, character_id: str, chosen: steering.Cast) -> list[Character]:
    """Returns the characters on stage, the story's own first; ids without a file are left out."""
    ids = dict.fromkeys((character_id, *chosen.members))
    return [assets.characters[member] for member in ids if member in assets.characters]

"""The words of a prompt: how rules, world, characters, recalled passages and the state are written. Pure.

The state has two places: facts that seldom change join the stable beginning of a prompt (``fact_sections``),
everything else comes right before a line of the player (``state_sections``). There it stays, as what was true then;
it is given again (``due``) when it has changed or was given too long ago. So prompts only grow, and a local server need
not read again what it has read.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from flower.engine.assets.kinds import Character, Rule, World
from flower.engine.game import clocks, people
from flower.engine.game.clocks import Now
from flower.engine.game.sheet import SCENE_IN_PROMPT, Sheet
from flower.engine.game.state import StoryState
from flower.engine.prompt.assemble import CUT_MARK, PLAYERS_WORDS, Section
from flower.engine.recall.base import Hit
from flower.engine.store.exchanges import memory_text, scene_of

NSFW_ON = "Mature themes are allowed in this story; treat them with care for the player's lead."
NSFW_OFF = "Keep the story free of explicit sexual content."

CONTINUE = "Go on from exactly where you stopped, without repeating anything."

RULE_PRIORITY = 80

RECALLED_HEAD = "Notes for the narrator, not seen by the player:"
RECALLED_TAIL = f"\n{PLAYERS_WORDS}"
LORE_KIND, MEMORY_KIND = "From the lore", "Earlier in this story"
PRIVATE_KIND = "Known to this character alone"
CHARACTER_HEAD = "You also play "
SCENE_HEAD = "The story opened like this:"
SCENARIO_HEAD = "The scenario:"

# Beginnings of lines that small models copy from their prompt into the story, whatever their case.
SCAFFOLD = (
    "notes for the narrator, not seen",
    "notes for the narrator:",
    PLAYERS_WORDS,
    PLAYERS_WORDS.replace("'", "’"),
    *(f"{kind}{end}" for kind in (LORE_KIND, MEMORY_KIND, PRIVATE_KIND) for end in (":", " (")),
)

_ORIGINAL = re.compile(r"\{\{original\}\}", re.IGNORECASE)
EXAMPLES_PRIORITY = 10  # below everything else: they go first where the budget is tight


def split_original(text: str) -> list[str]:
    """Returns the parts of a card's text between which it says ``{{original}}``."""
    return _ORIGINAL.split(text)


def character_sections(character: Character) -> tuple[Section, ...]:
    """Returns what a story's own character brings beside who they are: its scenario, and examples."""
    examples = "\n".join(
        "" if line.strip().upper() == "<START>" else line
        for line in character.example_dialogue.strip().splitlines()
    ).strip()
    speech = f"How {character.called} may speak; this is no part of the story:\n{examples}"
    scenario = f"{SCENARIO_HEAD} {character.scenario}" if character.scenario.strip() else ""
    return (
        Section("scenario", character.id, scenario, 55),
        Section("examples", character.id, speech if examples else "", EXAMPLES_PRIORITY),
    )


def system_sections(
    base_rules: str,
    rules: Sequence[Rule],
    world: World | None,
    character: Character | None,
    *,
    nsfw: bool,
) -> tuple[Section, ...]:
    """Returns the parts of the system message in order, the stable ones first."""
    parts = [Section("base rules", "system_rules.yaml", base_rules, 90)]
    parts.append(
        Section("content", "nsfw on" if nsfw else "nsfw off", NSFW_ON if nsfw else NSFW_OFF, 95)
    )
    ordered = sorted(rules, key=lambda rule: -rule.priority)  # of equal ones the first stays first
    parts += [
        Section(
            "rule", rule.id, f"Rule, {rule.name}: {rule.prompt}", RULE_PRIORITY + rule.priority / 100
        )
        for rule in ordered
    ]
    if world is not None:
        tone = f"The world is {world.name}.\n{world.system_prompt}"
        parts.append(Section("world", world.id, tone, 70))
    if character is not None:
        parts.append(cast_section(character))
    if world is not None and world.scene:
        parts.append(Section("scene", world.id, f"{SCENE_HEAD} {world.scene}", 50))
    if character is not None:
        parts += [section for section in character_sections(character) if section.text]
    return tuple(parts)


def cast_section(character: Character) -> Section:
    """Returns the part about a character whom the narrator plays."""
    pronouns = f" (pronouns: {character.pronouns})" if character.pronouns else ""
    persona = (
        f"{CHARACTER_HEAD}{character.name}{pronouns}, who is present in the story.\n{character.persona}"
    )
    return Section("character", character.id, persona, 60)


def with_notes(recalled: str, notes: Sequence[str]) -> str:
    """Returns a block of recalled passages with more of them at its end."""
    if not notes:
        return recalled
    body = recalled.removesuffix(f"\n{RECALLED_TAIL}") if recalled else RECALLED_HEAD
    return "\n".join((body, *notes, RECALLED_TAIL))


def note_of(hit: Hit, *, private: bool = False) -> str:
    """Returns one recalled passage as a note. ``private``: only one character knows of it."""
    passage = hit.passage
    kind = LORE_KIND if passage.kind == "lore" else MEMORY_KIND
    kind = PRIVATE_KIND if private else kind
    title = passage.title if passage.kind == "lore" else scene_of(passage.title)
    title = f" ({title})" if title else ""
    text = memory_text(passage.title, passage.text) if passage.kind == "memory" else passage.text
    return f"- {kind}{title}: {text.strip()}"


# --- the state of a story ----------------------------------------------------------------------------

REPEATED_AFTER_LINES = 8  # the state is repeated after so many lines, or a small model forgets it

Texts = Mapping[str, str]  # texts by ``section_key``, as they were given with one line

# The state; other sections are about one line alone.
AGAIN_LINES = dict.fromkeys(("people", "sheet", "scene", "clocks"), REPEATED_AFTER_LINES)
TAKEN_BACK = (
    ("scene", "/state", "Place, time, weather and mood are open again.", 40),
    ("clocks", "/clock", "Nothing of what came near before is coming any more.", 50),
    ("sheet", "/state", "How things stand: nothing of what was listed before holds any more.", 30),
    ("note", "/note", "The author's note from before no longer holds.", 70),
)
OOC = (
    "The player's words in double brackets are outside the story: answer them briefly and plainly as the"
    " game's narrator, and do not move the story on."
)


def fact_sections(state: StoryState, persona: str) -> tuple[Section, ...]:
    """Returns the sections that join the system message: who the player is, and pinned facts."""
    pins = "\n".join(f"- {pin}" for pin in state.pins)
    sections = (
        Section("persona", "/persona", persona, 75),
        Section("pinned", "/pin", f"Always true in this story:\n{pins}" if pins else "", 85),
    )
    return tuple(section for section in sections if section.text)


def state_sections(
    state: StoryState,
    now: Now,
    *,
    ambience: Mapping[str, str],
    note: str,
    speaking: str,
    scene: Sequence[str],
    line: str,
) -> tuple[Section, ...]:
    """Returns the state at the newest line, the least important first.

    ``scene`` are the texts right before the line: people named in them or in the line are written of.
    """
    present = people.in_scene(state.people, (*scene, line)) if state.people else ()
    ticking = clocks.prompt_text(state.clocks, now) if state.clocks else ""
    sections = (
        *(Section("people", person.name, people.prompt_text([person]), 20) for person in present),
        Section("sheet", "/state", _sheet(state.sheet), 30),
        Section("scene", "/state", _scene(state.sheet, ambience), 40),
        Section("clocks", "/clock", ticking, 50),
        Section("note", "/note", f"The author's note: {note}" if note else "", 70),
        Section("speaker", "/cast", speaking, 80),
        Section("aside", "/ooc", OOC if is_aside(line) else "", 90),
    )
    return tuple(section for section in sections if section.text)


def due(
    sections_now: Sequence[Section], earlier: Sequence[Texts], note_every: int = 1
) -> tuple[tuple[Section, ...], tuple[Section, ...]]:
    """Returns which sections have to be given with the newest line, and which still are in view.

    ``earlier`` is what was given with each of the player's lines in view, oldest first, the newest line left
    out. What no longer holds is taken back once.
    """
    now = {section_key(section): section for section in sections_now}
    before: dict[str, tuple[str, int]] = {}  # the last text given, and how many lines ago
    for ago, texts in zip(range(len(earlier), 0, -1), earlier, strict=True):
        before.update({key: (text, ago) for key, text in texts.items()})
    again = {**AGAIN_LINES, "note": note_every}
    new: list[Section] = []
    sections: list[Section] = []
    for key, section in now.items():
        text, ago = before.get(key, ("", 0))
        holds = _is(text, section.text) and ago < again.get(section.name, 1)
        (sections if holds else new).append(section)
    for name, source, text, priority in TAKEN_BACK:
        section = Section(name, source, text, priority)
        if section_key(section) not in now and before.get(section_key(section), (text, 0))[0] != text:
            new.append(section)
    return tuple(sorted(new, key=lambda section: section.priority)), tuple(sections)


def _is(earlier: str, text: str) -> bool:
    """Returns whether a text was given, if only with its middle cut out for want of room."""
    start, cut, end = earlier.partition(CUT_MARK)
    return earlier == text or (bool(cut) and text.startswith(start) and text.endswith(end))


def section_key(section: Section) -> str:
    """Returns by what a section is found again in later prompts."""
    return f"{section.name} {section.source}"


def is_aside(line: str) -> bool:
    """Returns whether a line is spoken outside the story."""
    return line.startswith("((") and line.endswith("))")


def _scene(sheet: Sheet, ambience: Mapping[str, str]) -> str:
    """Returns where and when the story is; what was set by hand wins over the ambience."""
    values = {name: getattr(sheet, name, "") or ambience.get(name, "") for name in SCENE_IN_PROMPT}
    return " ".join(f"{name.capitalize()}: {value}." for name, value in values.items() if value)


def _sheet(sheet: Sheet) -> str:
    """Returns the rest of the sheet as one paragraph."""
    parts = []
    if sheet.conditions:
        parts.append(f"The player is {', '.join(sheet.conditions)}.")
    if sheet.inventory:
        things = (name if count == 1 else f"{count} {name}" for name, count in sheet.inventory.items())
        parts.append(f"The player carries {', '.join(things)}.")
    parts += [f"{name}: {counter.display_text}." for name, counter in sheet.counters.items()]
    parts += [f"Quest: {name}." for name, status in sheet.quests.items() if status == "open"]
    parts += [f"Quest {status}: {name}." for name, status in sheet.quests.items() if status != "open"]
    parts += [f"{name}: {value}." for name, value in sheet.flags.items()]
    return f"How things stand: {' '.join(parts)}" if parts else ""

"""The words of a prompt: how rules, world, character and recalled passages are written. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence

from flower.engine.assets import Character, Rule, World
from flower.engine.prompt.assemble import PLAYERS_WORDS, PromptLine, Section
from flower.engine.provider.base import ChatMessage
from flower.engine.recall.base import Hit
from flower.engine.store.exchanges import memory_text, scene_of
from flower.engine.token_counter import MESSAGE_TOKENS, TokenCounter
from flower.text import first_sentence

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


def summary_section(text: str, last_id: int) -> Section:
    """Returns what happened before the history begins, as the last part of the system message."""
    return Section("summary", f"up to message {last_id}", f"What happened before:\n{text}", 40)


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


def note_of(found: Hit, *, private: bool = False) -> str:
    """Returns one recalled passage as a note. ``private``: only one character knows of it."""
    passage = found.passage
    kind = LORE_KIND if passage.kind == "lore" else MEMORY_KIND
    kind = PRIVATE_KIND if private else kind
    title = passage.title if passage.kind == "lore" else scene_of(passage.title)
    title = f" ({title})" if title else ""
    text = memory_text(passage.title, passage.text) if passage.kind == "memory" else passage.text
    return f"- {kind}{title}: {text.strip()}"


# --- What a summary of the older story is made from, and how the offline narrator makes one. Pure.
#
# A summary covers the story from its beginning to one message. It is made ahead of time: it covers what
# the next trim of the history would leave out, so that at the trim the story goes on without a gap.

MIN_NEW_LINES = 4  # fewer are not worth a call of the model
FILLED_SHARE = 0.75  # of the history's room; before that no trim is near
KEPT_SHARE = 0.5  # of the room stays uncovered: a summary reaches further than the next trim must
SUMMARY_WORDS = 220
LINE_CHARS = 1500  # of one message, as the summariser sees it
EXTRACT_CHARS = 1400
SENTENCE_CHARS = 160

TASK = (
    "You keep the record of a story that is being played. Write down what matters later: who was met, what"
    " was promised, given, lost, learned and decided, where everyone is, what is unresolved. Past tense,"
    f" plain sentences, at most {SUMMARY_WORDS} words, no headings, nothing that did not happen."
)
OWN_TASK = (
    "You keep the record of a story that is being played. {asked}. Write only the record, at most"
    f" {SUMMARY_WORDS} words, and nothing that did not happen."
)


def lines_to_cover(lines: Sequence[PromptLine], room: int, counter: TokenCounter) -> int:
    """Returns how many of the oldest lines a summary should cover now; 0 while no trim is near."""
    sizes = [
        counter.count(line.content) + counter.count(line.recalled) + MESSAGE_TOKENS for line in lines
    ]
    if not is_filling(sum(sizes), room):
        return 0
    kept = 0
    for index in range(len(lines) - 1, -1, -1):
        kept += sizes[index]
        if kept > room * KEPT_SHARE:
            return index + 1
    return 0


def is_filling(history: int, room: int) -> bool:
    """Whether a history of so many tokens is near its next trim."""
    return history >= room * FILLED_SHARE


def summary_prompt(
    before: str, lines: Sequence[PromptLine], asked: str = ""
) -> tuple[ChatMessage, ...]:
    """Returns the messages that ask a model to bring the record up to date.

    ``asked``: how to write it, in the player's own words, instead of ours.
    """
    task = OWN_TASK.format(asked=asked.rstrip(". ")) if asked else TASK
    story = "\n\n".join(
        f"{'The player' if line.role == 'user' else 'The narrator'}: {line.content[:LINE_CHARS]}"
        for line in lines
    )
    record = f"The record so far:\n{before}\n\n" if before else ""
    ask = f"{record}What happened since:\n{story}\n\nWrite the whole record anew."
    return (ChatMessage("system", task), ChatMessage("user", ask))


def extract(before: str, lines: Sequence[PromptLine]) -> str:
    """Returns a summary made of what is there: each line and the first sentence of its reply.

    For narrators that cannot summarise. The newest part is kept when all of it is too long.
    """
    parts = [before] if before else []
    for line in lines:
        sentence = first_sentence(line.content, SENTENCE_CHARS)
        if sentence:
            parts.append(f"The player: {sentence}" if line.role == "user" else sentence)
    text = "\n".join(parts)
    if len(text) <= EXTRACT_CHARS:
        return text
    return "…" + text[-EXTRACT_CHARS:].partition("\n")[2]

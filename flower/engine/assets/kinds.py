"""What a world, a character and a rule are, and how each is read from a YAML document. Pure.

Owns the shapes of the files and what makes one unusable; ``loader`` reads them from the disk.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

from msgspec import Struct

from flower.engine.game.clocks import Ambience
from flower.settings import validators


class World(Struct, frozen=True):
    """A place to play. ``lore`` is long and is recalled in passages; the rest is short."""

    id: str
    name: str
    lore: str = ""
    start_message: str = ""
    scene: str = ""
    system_prompt: str = ""
    ambience: Ambience | None = None


PRONOUNS = ("she", "he", "they", "it", "she/her", "he/him", "they/them", "it/its")


class DepthPrompt(Struct, frozen=True):
    """A text that goes among the messages, above the newest ``depth`` of them; 0: below all."""

    text: str
    depth: int = 4
    role: str = "system"  # or user, assistant


class Character(Struct, frozen=True):
    """Who the narrator plays beside the world.

    ``lore`` is what this character alone knows, long like a world's and recalled when they speak;
    ``model`` is the id of the model that speaks for them, "" for the story's; ``pronouns`` one of
    ``PRONOUNS``, "" where the persona has to tell. ``greeting`` begins a story
    with them, ``alternate_greetings`` are its variants, ``group_greetings`` are for a cast.
    ``example_dialogue`` has blocks, each after a line ``<START>``. ``{{original}}`` in ``system_prompt``
    is where the base rules go, which it replaces. ``notes`` are the author's for the player alone.
    """

    id: str
    name: str
    persona: str
    lore: str = ""
    model: str = ""
    pronouns: str = ""
    nickname: str = ""  # what {{char}} means instead of the name
    greeting: str = ""
    alternate_greetings: tuple[str, ...] = ()
    group_greetings: tuple[str, ...] = ()
    scenario: str = ""
    example_dialogue: str = ""
    system_prompt: str = ""
    post_history_instructions: str = ""
    depth_prompt: DepthPrompt | None = None
    tags: tuple[str, ...] = ()
    creator: str = ""
    version: str = ""
    notes: str = ""
    talkativeness: float | None = None  # 0 to 1
    avatar: str = ""  # name of a picture's file

    @property
    def called(self) -> str:
        """What {{char}} means."""
        return self.nickname or self.name


class Rule(Struct, frozen=True):
    """A way of playing that can be switched on. A higher ``priority``, 0 to 100, is given earlier."""

    id: str
    name: str
    prompt: str
    priority: int = 50


class Assets(NamedTuple):
    """Everything that was readable, by id, in the order of file names; and what was not."""

    worlds: Mapping[str, World]
    characters: Mapping[str, Character]
    rules: Mapping[str, Rule]
    system_rules: str
    problems: tuple[str, ...]  # "worlds/harbour.yaml, line 3: ..."


_Asset = TypeVar("_Asset", World, Character, Rule)


def _reader(
    kind: Callable[..., _Asset],
    texts: Sequence[str],
    needed: Sequence[str],
    **others: validators.Reader[Any],
) -> Any:
    """Unknown keys are allowed: files from elsewhere carry tags, authors and the like."""
    fields = {
        "id": validators.identifier,
        "name": validators.short_text,
        **dict.fromkeys(texts, validators.text),
        **others,
    }
    return validators.section(kind, fields, required=("id", "name", *needed), strict=False)


_AMBIENCE = validators.section(
    Ambience,
    {
        "every": validators.whole(1, 1000),
        "weather": validators.list_of(validators.short_text),
        "light": validators.list_of(validators.short_text),
        "mood": validators.list_of(validators.short_text),
    },
)


def _lore(value: object, path: validators.Path) -> str:
    """One text, or a list of texts: an entry each."""
    if isinstance(value, list):
        return "\n\n".join(validators.list_of(validators.text)(value, path))
    return validators.text(value, path)


def _loose_text(value: object, path: validators.Path) -> str:
    """What is for people alone may be a number too: ``version: 1.2``."""
    return validators.text(
        str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value, path
    )


def _tags(value: object, path: validators.Path) -> tuple[str, ...]:
    """A list, or words with commas between them."""
    if isinstance(value, str):
        return tuple(word.strip() for word in value.split(",") if word.strip())
    return validators.list_of(_loose_text)(value, path)


_DEPTH_PROMPT = validators.section(
    DepthPrompt,
    {
        "text": validators.text,
        "depth": validators.whole(0, 1000),
        "role": validators.one_of(("system", "user", "assistant")),
    },
    required=("text",),
)
_CHARACTER_TEXTS = (
    "persona", "nickname", "greeting", "scenario", "example_dialogue", "system_prompt",
    "post_history_instructions",
)  # fmt: skip

FIELDS: Mapping[str, tuple[str, ...]] = {
    "worlds": World.__struct_fields__,
    "characters": Character.__struct_fields__,
    "rules": Rule.__struct_fields__,
}
# By folder; each takes a document's value and raises ``WrongValueError``.
READERS: Mapping[str, validators.Reader[Any]] = {
    "worlds": _reader(
        World, ("start_message", "scene", "system_prompt"), (), lore=_lore, ambience=_AMBIENCE
    ),
    "characters": _reader(
        Character,
        _CHARACTER_TEXTS,
        ("persona",),
        lore=_lore,
        model=validators.short_text,
        pronouns=validators.one_of(PRONOUNS),
        alternate_greetings=validators.list_of(validators.text),
        group_greetings=validators.list_of(validators.text),
        depth_prompt=_DEPTH_PROMPT,
        tags=_tags,
        creator=_loose_text,
        version=_loose_text,
        notes=_loose_text,
        talkativeness=validators.number(0, 1),
        avatar=_loose_text,
    ),
    "rules": _reader(Rule, ("prompt",), ("prompt",), priority=validators.whole(0, 100)),
}

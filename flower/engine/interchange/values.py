"""What files of other programs hold, as values. Pure, frozen, without behaviour.

``source`` is always the object as it was read. Writers begin with it and change only what differs, so
that fields Flower has no use for come out again as they went in.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from msgspec import Struct

from flower.engine.assets.kinds import DepthPrompt
from flower.engine.lorebook.book import Book
from flower.engine.scripts.script import Script

__all__ = [
    "Asset",
    "Card",
    "Chat",
    "ChatNote",
    "DepthPrompt",
    "Ending",
    "Group",
    "Imported",
    "ImportedMessage",
    "ImportedPersona",
    "ImportedQuickReply",
    "Kind",
    "Preset",
    "QuickReplies",
    "Variant",
]  # fmt: skip


class Kind(StrEnum):
    """What a file is; the value is what a person reads."""

    CARD_V1 = "character card V1"
    CARD_V2 = "character card V2"
    CARD_V3 = "character card V3"
    CARD_PNG = "character card in a PNG"
    CARD_WEBP = "character card in a WebP"
    CARD_JPEG = "character card in a JPEG"
    CHARX = "CHARX archive"
    BYAF = "Backyard archive (BYAF)"
    FARADAY = "Faraday card"
    OOBA_CARD = "text-generation-webui character"
    GRADIO_CARD = "gradio character"
    WORLD_INFO = "SillyTavern World Info"
    CHARACTER_BOOK = "character book"
    LOREBOOK_V3 = "lorebook V3"
    AGNAI_BOOK = "Agnai memory book"
    RISU_BOOK = "Risu lorebook"
    NOVELAI_BOOK = "NovelAI lorebook"
    NOVELAI_BOOK_PNG = "NovelAI lorebook in a PNG"
    STORY_CARDS = "AI Dungeon story cards"
    SILLYTAVERN_CHAT = "SillyTavern chat"
    CHUB_CHAT = "Chub chat"
    CAI_TOOLS_CHAT = "CAI Tools chat"
    CAI_CHAT = "Character.AI history"
    AGNAI_CHAT = "Agnai chat"
    RISU_CHAT = "Risu chat"
    OOBA_CHAT = "text-generation-webui chat"
    KOBOLD_SAVE = "Kobold save"
    KOBOLD_SHARE = "Kobold Lite shared story"
    KOBOLD_STORY_ZIP = "Kobold story archive"
    LLAMA_SESSION = "llama.cpp session"
    NOVELAI_SCENARIO = "NovelAI scenario"
    NOVELAI_STORY = "NovelAI story"
    FLOWER_STORY = "Flower story"
    GROUP = "SillyTavern group"
    SETTINGS = "SillyTavern settings"
    QUICK_REPLIES = "SillyTavern quick replies"
    SCRIPTS = "regex scripts"
    ARCHIVE = "archive of files"
    SAMPLER_PRESET = "SillyTavern sampler preset"
    INSTRUCT_PRESET = "SillyTavern instruct preset"
    CONTEXT_PRESET = "SillyTavern context preset"
    PRESETS = "SillyTavern presets in one file"


class Asset(Struct, frozen=True):
    """A file that a card brings or points to: a picture, a sound, a model."""

    kind: str  # icon, background, emotion, user_icon, x_...
    name: str
    extension: str
    uri: str


class Card(Struct, frozen=True, kw_only=True):
    """A character as an author shares it."""

    name: str
    nickname: str = ""  # replaces the name in {{char}}
    description: str = ""
    personality: str = ""
    greeting: str = ""
    alternate_greetings: tuple[str, ...] = ()
    group_greetings: tuple[str, ...] = ()  # only with several characters
    scenario: str = ""
    example_dialogue: str = ""  # blocks, each after <START>
    system_prompt: str = ""  # replaces the user's; {{original}} is the user's
    post_history_instructions: str = ""
    depth_prompt: DepthPrompt | None = None
    tags: tuple[str, ...] = ()
    creator: str = ""
    version: str = ""
    creator_notes: str = ""  # for the player; never in a prompt
    notes_by_language: Mapping[str, str] = {}  # ISO 639-1 code: the notes in that language
    sources: tuple[str, ...] = ()  # addresses it was taken from
    created: float | None = None  # Unix seconds
    modified: float | None = None
    talkativeness: float | None = None  # 0 to 1
    linked_book: str = ""  # name of a World Info file that belongs to it
    book: Book | None = None
    scripts: tuple[Script, ...] = ()
    extensions: Mapping[str, object] = {}
    assets: tuple[Asset, ...] = ()
    picture: bytes | None = None  # the picture's file as it was; a PNG card is its own picture
    source: Mapping[str, object] = {}  # the whole card


class Variant(Struct, frozen=True, kw_only=True):
    """One of the texts that a message may have."""

    text: str
    sent: float | None = None  # Unix seconds
    model: str = ""
    reasoning: str = ""
    source: Mapping[str, object] = {}


class ImportedMessage(Struct, frozen=True, kw_only=True):
    """A message of a chat. It follows variant ``parent_variant`` of message ``parent``.

    ``parent`` is an index in ``Chat.messages`` and smaller than the message's own.
    """

    parent: int | None
    parent_variant: int = 0
    role: str  # user, assistant, system
    name: str = ""
    variants: tuple[Variant, ...]
    chosen: int = 0  # the variant that is shown
    hidden: bool = False  # on the screen, but not for the model
    source: Mapping[str, object] = {}

    @property
    def text(self) -> str:
        return self.variants[self.chosen].text


class ChatNote(Struct, frozen=True):
    """An author's note: a text among the messages, ``depth`` from the end, every so many lines."""

    text: str
    depth: int = 4
    every: int = 1
    role: str = "system"


class Ending(Struct, frozen=True):
    """Where one file of a chat ends. ``leaf`` is an index in ``Chat.messages``, None for an empty file."""

    name: str  # of the file, without its ending
    leaf: int | None
    source: Mapping[str, object] = {}  # the file's first line


class Chat(Struct, frozen=True, kw_only=True):
    """A tree of messages, parents before children; the first ending is where the story is."""

    title: str = ""
    character: str = ""
    player: str = ""
    messages: tuple[ImportedMessage, ...] = ()
    endings: tuple[Ending, ...] = ()
    created: float | None = None
    scenario: str = ""
    memory: str = ""  # a text that is in every prompt, or a summary of what came before
    note: ChatNote | None = None
    variables: Mapping[str, str] = {}
    linked_book: str = ""  # name of a World Info file that belongs to it
    source: Mapping[str, object] = {}  # for kinds with one object for the whole chat


class Group(Struct, frozen=True):
    """Several characters in one chat: names of card files and of chat files."""

    name: str
    members: tuple[str, ...]
    chats: tuple[str, ...]
    source: Mapping[str, object] = {}


class ImportedPersona(Struct, frozen=True, kw_only=True):
    """Somebody a player can be."""

    name: str
    title: str = ""  # tells personas of one name apart
    description: str = ""
    avatar: str = ""  # name of the picture's file
    linked_book: str = ""
    default: bool = False
    characters: tuple[str, ...] = ()  # card files with which it is used
    source: Mapping[str, object] = {}


class ImportedQuickReply(Struct, frozen=True):
    """A line behind a button."""

    label: str
    text: str
    source: Mapping[str, object] = {}


class QuickReplies(Struct, frozen=True):
    """A named set of quick replies."""

    name: str
    replies: tuple[ImportedQuickReply, ...]
    source: Mapping[str, object] = {}


class Preset(Struct, frozen=True):
    """Settings under a name: of samplers, or of how a prompt is written as text; ``kind`` says which."""

    name: str
    kind: Kind
    values: Mapping[str, object]
    source: Mapping[str, object] = {}


class Imported(Struct, frozen=True, kw_only=True):
    """Everything that one file holds. ``notices`` are sentences for the person who gave it in."""

    kind: Kind
    cards: tuple[Card, ...] = ()
    books: tuple[Book, ...] = ()  # of their own; a card's book is in the card
    chats: tuple[Chat, ...] = ()
    groups: tuple[Group, ...] = ()
    personas: tuple[ImportedPersona, ...] = ()
    quick_replies: tuple[QuickReplies, ...] = ()
    scripts: tuple[Script, ...] = ()  # for everything; those of a card are in the card
    presets: tuple[Preset, ...] = ()
    notices: tuple[str, ...] = ()

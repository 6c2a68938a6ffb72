"""The wire between engine and clients: every message, both ways, as frozen typed structs.

Owns the JSON shapes of the V1 Flower protocol and their optional additions. Turning them into frames
and back is ``flower/protocol/codec.py``'s.

A client sends ``{"prompt": TEXT}``; everything it can do is a prompt. The optional keys ``request``
(client-made id, sending it twice is safe) and ``client`` (stable id of this client) are additions that
V1 clients never send. The engine sends ``{"event": E, "payload": {"content": str, "metadata": {}}}``.
Additions are optional metadata keys or new events; a V1 client ignores both.

Laws: the chunks of a turn concatenate to the saved text, where one with ``replace`` first takes back what
came from its ``offset`` on; ``offset`` counts the characters (Unicode code points) before the chunk; every
started turn ends with exactly one ``chat_end``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from msgspec import UNSET, Struct, UnsetType

__all__ = [
    "UNSET",
    "ChatChunk",
    "ChatEnd",
    "ChatHistory",
    "ChatMessage",
    "ChatReasoning",
    "ChunkMeta",
    "EndMeta",
    "ErrorEvent",
    "ErrorMeta",
    "Event",
    "Form",
    "FormField",
    "FoundMessage",
    "HistoryItem",
    "HistoryMeta",
    "LibraryItem",
    "Listing",
    "MessageMeta",
    "ModelOption",
    "Named",
    "Prompt",
    "QuickReply",
    "Recall",
    "RecallItem",
    "RecallMeta",
    "SessionOption",
    "SettingOption",
    "SheetRow",
    "State",
    "SyncState",
    "SystemUpdate",
    "UnknownEvent",
    "Usage",
]


class Prompt(Struct, frozen=True, omit_defaults=True):
    """What a client says: plain text for the narrator or ``/command args``."""

    prompt: str
    request: str | None = None
    client: str | None = None
    fields: Mapping[str, str] | None = None  # addition: what was typed into a form, by field


class Named(Struct, frozen=True, omit_defaults=True):
    """Something that can be chosen, as lists in ``State`` show it."""

    id: str
    name: str
    about: str = ""  # addition: a sentence on what it is


class ModelOption(Struct, frozen=True, omit_defaults=True):
    """A model as the picker shows it; prices in USD per million tokens."""

    id: str
    name: str
    prompt_price: float
    completion_price: float
    price_varies: bool = False  # a router with dynamic prices: the two numbers say nothing
    context: int = 0
    note: str = ""


class SessionOption(Struct, frozen=True, omit_defaults=True):
    """A saved story; ``updated`` is Unix time in seconds."""

    id: str
    name: str
    world_id: str = ""
    updated: float = 0.0
    messages: int = 0
    pinned: bool = False


class CommandOption(Struct, frozen=True, omit_defaults=True):
    """A slash command the engine offers, for palettes and completion."""

    name: str  # "/world select"
    usage: str  # "/world select ID"
    summary: str
    argument: str = ""  # which list completes it: worlds, characters, models, rules, sessions
    group: str = ""  # the heading it is under


class FoundMessage(Struct, frozen=True):
    """A message that ``/session search`` found; ``text`` is the part around the words."""

    session: str
    name: str  # the story's title
    message: int
    role: str
    text: str


class Progress(Struct, frozen=True, omit_defaults=True):
    """Something long that is under way; ``total`` 0 means unknown."""

    what: str
    done: int
    total: int = 0


class SheetRow(Struct, frozen=True):
    """A row of the state sheet, for a sidebar: place, inventory, a counter, a clock."""

    name: str
    value: str


class SettingOption(Struct, frozen=True, omit_defaults=True):
    """A setting as a screen lists it. ``value`` "" is as it comes; of a secret it is "set" or "".

    ``locked``: this client may not change it.
    """

    name: str
    value: str = ""
    default: str = ""
    about: str = ""
    allowed: str = ""
    choices: tuple[str, ...] = ()
    changed: bool = False
    secret: bool = False
    locked: bool = False


class QuickReply(Struct, frozen=True):
    """A line the player has ready. With ``{{input}}`` in ``text`` it goes into the input, else it is sent.

    ``{{input}}`` is where what has been typed goes, and then the cursor.
    """

    name: str
    text: str


class FormField(Struct, frozen=True, omit_defaults=True):
    """A field of a form. ``value`` is text for every kind.

    Kinds: line, id, text, flag (yes or no), choice, whole, number; words (commas between them), lines (one text a
    line), texts (a line with ``%`` alone between two). A client shows a kind that it does not know as text.
    """

    name: str
    label: str
    kind: str = "line"
    value: str = ""
    about: str = ""  # a sentence on what it is for
    choices: tuple[str, ...] = ()
    needed: bool = False
    low: float = 0  # of a number
    high: float = 0
    most: int = 0  # characters
    locked: str = ""  # why it cannot be changed here


class Form(Struct, frozen=True, omit_defaults=True):
    """Something that can be edited. ``/form save BASE SUBJECT`` with the changed ``fields`` saves it.

    ``base`` is which version this is: a save over another one is refused, and the new form sent. ``drafted``:
    fields whose values are not saved yet.
    """

    subject: str
    title: str
    fields: tuple[FormField, ...]
    base: str = ""
    drafted: tuple[str, ...] = ()


class LibraryItem(Struct, frozen=True, omit_defaults=True):
    """Something of the library; ``played``: when a story with it was played last, in Unix seconds."""

    id: str
    name: str
    about: str = ""
    tags: tuple[str, ...] = ()
    favourite: bool = False
    played: float = 0.0


class Listing(Struct, frozen=True, omit_defaults=True):
    """A page of the library: favourites first, then what was played last, then by name.

    ``kind``: characters, worlds or books. ``total`` have all of ``words``, of which ``items`` begin at ``offset``.
    """

    kind: str
    words: str
    total: int
    items: tuple[LibraryItem, ...]
    offset: int = 0


class Portrait(Struct, frozen=True, omit_defaults=True):
    """A character's picture, small. ``pixels``: base64 of rows from the top, a byte each for red, green and blue."""

    character: str
    width: int = 0  # 0: there is no picture
    height: int = 0
    pixels: str = ""


class State(Struct, frozen=True, omit_defaults=True):
    """What a client shows beside the story. ``sync_state`` sets every V1 key, updates only some."""

    status: str | UnsetType = UNSET
    model: str | UnsetType = UNSET
    model_confirmed: bool | UnsetType = UNSET
    world_id: str | UnsetType = UNSET
    character_id: str | UnsetType = UNSET
    session_id: str | UnsetType = UNSET
    available_worlds: tuple[Named, ...] | UnsetType = UNSET
    available_characters: tuple[Named, ...] | UnsetType = UNSET
    available_models: tuple[ModelOption, ...] | UnsetType = UNSET
    available_rules: tuple[Named, ...] | UnsetType = UNSET
    available_sessions: tuple[SessionOption, ...] | UnsetType = UNSET
    active_rules: tuple[str, ...] | UnsetType = UNSET
    # additions
    client: str | UnsetType = UNSET
    commands: tuple[CommandOption, ...] | UnsetType = UNSET
    nsfw: bool | UnsetType = UNSET
    persona: str | UnsetType = UNSET  # the name of the default one, "" without one
    offline: bool | UnsetType = UNSET  # True: the offline narrator speaks, no AI model is used
    version: str | UnsetType = UNSET
    progress: Progress | UnsetType | None = UNSET
    queued: int | UnsetType = UNSET
    found: tuple[FoundMessage, ...] | UnsetType = UNSET  # what a search found, best first
    sheet: tuple[SheetRow, ...] | UnsetType = UNSET  # of the selected story
    preparing: bool | UnsetType = UNSET  # the model works ahead; `/typing` ends that
    draft: str | UnsetType = UNSET  # a line for the player to change and send
    suggestions: tuple[str, ...] | UnsetType = (
        UNSET  # lines the player could say next, for this client alone
    )
    quick_replies: tuple[QuickReply, ...] | UnsetType = UNSET  # in the order of their keys
    problems: tuple[str, ...] | UnsetType = UNSET  # what of the user's files cannot be used; sentences
    settings: tuple[SettingOption, ...] | UnsetType = UNSET  # answers /settings
    tree: StoryTree | UnsetType = UNSET  # answers /tree
    shown: ShownMessage | UnsetType = UNSET  # answers /show; the text is the content
    listing: Listing | UnsetType = UNSET  # answers /library
    portrait: Portrait | UnsetType = UNSET  # answers /portrait
    speaker: str | UnsetType = UNSET  # of a cast: whose reply it is, "" for the narrator's
    form: Form | UnsetType = UNSET  # something to edit, or a newer version of what is being edited
    table: tuple[str, ...] | UnsetType = UNSET  # who sits at the selected story; empty: nobody else
    typing: tuple[str, ...] | UnsetType = UNSET  # who of the others there types a line
    moved: str | UnsetType = UNSET  # where to go on; only to clients that asked with `moved=1`
    request: str | UnsetType = UNSET  # the id of the prompt that this answers


class SystemUpdate(Struct, frozen=True):
    event: ClassVar[str] = "system_update"
    content: str
    metadata: State = State()


class SyncState(Struct, frozen=True):
    event: ClassVar[str] = "sync_state"
    content: str
    metadata: State


class HistoryItem(Struct, frozen=True, omit_defaults=True):
    role: str
    content: str
    message: int | UnsetType = UNSET
    status: str | UnsetType = UNSET
    model: str | UnsetType = UNSET
    request: str | UnsetType = UNSET  # tells a client that a line it sent before a restart has arrived
    variant: int | UnsetType = UNSET  # which of its siblings this is, from 1; set when there are others
    variants: int | UnsetType = UNSET  # how many siblings there are, itself included
    hidden: bool | UnsetType = UNSET  # no narrator reads it
    shown: str | UnsetType = UNSET  # what to show in the place of ``content``


class HistoryMeta(Struct, frozen=True, omit_defaults=True):
    """A page of a story, oldest first. ``more``: id of the oldest message shown, when older exist."""

    history: tuple[HistoryItem, ...]
    session: str | UnsetType = UNSET
    more: int | UnsetType = UNSET
    before: int | UnsetType = UNSET  # set when this page was asked for by `/history BEFORE`
    turn: str | UnsetType = UNSET  # the last item is this running turn's text so far
    sheet: tuple[SheetRow, ...] | UnsetType = UNSET  # as the story is at the end of this page


class ChatHistory(Struct, frozen=True):
    event: ClassVar[str] = "chat_history"
    content: str
    metadata: HistoryMeta


class ChunkMeta(Struct, frozen=True, omit_defaults=True):
    model: str
    tokens_per_second: float
    world_id: str
    turn: str | UnsetType = UNSET
    offset: int | UnsetType = UNSET
    replace: bool = False  # addition: what was sent from ``offset`` on is taken back first


class ChatChunk(Struct, frozen=True):
    event: ClassVar[str] = "chat_chunk"
    content: str
    metadata: ChunkMeta


class ChatReasoning(Struct, frozen=True):
    """A model's thinking: shown folded, never part of the story or of later prompts."""

    event: ClassVar[str] = "chat_reasoning"
    content: str
    metadata: ChunkMeta


class Usage(Struct, frozen=True, omit_defaults=True):
    """Tokens of one completion. ``estimated``: counted by us, not by the provider."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int | None = None
    estimated: bool = False


class EndMeta(Struct, frozen=True, omit_defaults=True):
    """``reason``: done, stopped, length, blocked, interrupted or error. ``cost`` in USD."""

    total_tokens: int
    reason: str | UnsetType = UNSET
    turn: str | UnsetType = UNSET
    message: int | UnsetType = UNSET
    session: str | UnsetType = UNSET
    usage: Usage | UnsetType = UNSET
    cost: float | UnsetType = UNSET
    seconds: float | UnsetType = UNSET
    tokens_per_second: float | UnsetType = UNSET


class ChatEnd(Struct, frozen=True):
    event: ClassVar[str] = "chat_end"
    content: str
    metadata: EndMeta


class ErrorMeta(Struct, frozen=True, omit_defaults=True):
    kind: str | UnsetType = UNSET
    turn: str | UnsetType = UNSET
    request: str | UnsetType = UNSET
    problems: Mapping[str, str] | UnsetType = UNSET  # addition: what is wrong with fields of a form


class ErrorEvent(Struct, frozen=True):
    event: ClassVar[str] = "error"
    content: str
    metadata: ErrorMeta = ErrorMeta()


class MessageMeta(Struct, frozen=True, omit_defaults=True):
    """A message that joined the story: the player's line, or an empty reply that starts to stream."""

    role: str
    message: int
    session: str
    turn: str | UnsetType = UNSET
    request: str | UnsetType = UNSET
    status: str | UnsetType = UNSET
    model: str | UnsetType = UNSET


class ChatMessage(Struct, frozen=True):
    """Addition to V1: lets several clients on one story show the same thing."""

    event: ClassVar[str] = "chat_message"
    content: str
    metadata: MessageMeta


class RecallItem(Struct, frozen=True, omit_defaults=True):
    """One recalled passage; ``kind`` is lore or memory, ``why`` a short human reason."""

    kind: str
    title: str
    text: str
    why: str = ""
    similarity: float = 0.0


class RecallMeta(Struct, frozen=True):
    turn: str
    items: tuple[RecallItem, ...]


class Recall(Struct, frozen=True):
    """Addition to V1: what the narrator was reminded of for this turn."""

    event: ClassVar[str] = "recall"
    content: str
    metadata: RecallMeta


class UnknownEvent(Struct, frozen=True):
    """An event of a newer engine; clients ignore it."""

    event: str


Event = (
    SystemUpdate
    | SyncState
    | ChatHistory
    | ChatChunk
    | ChatReasoning
    | ChatEnd
    | ErrorEvent
    | ChatMessage
    | Recall
)


# --- the tree of a story: the structs of ``State.tree`` and ``State.shown``
#
# How the tree is folded to a bounded look is ``engine.store.outline_fold``'s.


class TreeNode(Struct, frozen=True, omit_defaults=True):
    """A message in the outline of a story, or several messages folded into one node.

    ``message`` of a fold is the first of them: ``/tree MESSAGE`` opens it. ``parent`` is the ``message``
    of the node above, 0 at the beginning. A fold has no role and no text.
    """

    message: int
    parent: int = 0
    role: str = ""
    text: str = ""  # its first words
    status: str = ""
    variant: int = 1  # which of its siblings it is, and how many there are
    variants: int = 1
    branches: tuple[str, ...] = ()  # names of the branches that end here
    active: bool = False  # the story goes through it
    chosen: bool = False  # the story goes on here when it comes through ``parent``
    leaf: bool = False  # nothing follows it
    below: int = 0  # messages under it
    thrown: bool = False  # in the trash, with all below it
    folded: int = 0  # how many messages a fold is for; 0: it is one message
    ends: int = 0  # how many ways through the tree end in a fold


class StoryTree(Struct, frozen=True):
    """The outline of a story's tree around ``focus``; every node comes before those below it."""

    session: str
    focus: int
    stands: int  # the message that is the current one; 0: before the first
    messages: int  # of the whole tree, without the trash
    nodes: tuple[TreeNode, ...]


class ShownMessage(Struct, frozen=True, omit_defaults=True):
    """Which message the text in ``content`` is; ``cut``: it is longer than what is shown."""

    session: str
    message: int
    role: str
    status: str = ""
    model: str = ""
    thrown: bool = False
    cut: bool = False

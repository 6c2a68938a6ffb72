"""What one client knows, and what can happen to it.

``Model`` is a value: ``update.update`` makes a new one for every input and nothing else changes it.
``Input`` is the union of everything that can happen; what the app must then do is in ``effects``.
The first frame is drawn from here before slow modules are imported, so this module imports none;
options of the engine's lists (worlds, models ...) are the structs of ``flower.protocol.messages``, held as they
came. The one mutable object inside is ``StoryPane``, a memo of laid-out messages.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

from flower import limits
from flower.client.events import LinkChanged, Received
from flower.tui.render.messages import StoryPane
from flower.tui.render.theme import NO_RECIPES, Recipe, Theme
from flower.tui.state.bindings import Bindings
from flower.tui.state.editor import Editor
from flower.tui.state.transcript import Transcript
from flower.tui.term.inputs import Focus, Key, Mouse, Paste, Reply

if TYPE_CHECKING:
    from flower.protocol import messages
    from flower.protocol.messages import StoryTree
    from flower.tui.state.form import TypedForm


class ListedLibrary(NamedTuple):
    """What is known of the library's list: the first ``items`` of ``total`` that have ``words``."""

    kind: str
    words: str = ""
    items: tuple[messages.LibraryItem, ...] = ()
    total: int = -1  # not known yet
    asked_at: float = -1.0  # when a page was asked for that has not come; -1: none was
    stale: bool = False  # the library has changed since


class Settings(NamedTuple):
    """The user's choices from ``config.yaml``, section ``tui``."""

    theme: str = "petal"
    reduced_motion: bool = False
    bell: str = "off"  # off, bell or title
    styles: Mapping[str, str] = {}
    own_themes: Mapping[str, Recipe] = NO_RECIPES
    sidebar: bool = True
    text_width: int = limits.READING_COLUMNS


class Replica(NamedTuple):
    """The engine's state as last sent; the names are those of ``protocol.State``."""

    status: str = ""
    model: str = ""
    model_confirmed: bool = False
    world_id: str = ""
    character_id: str = ""
    session_id: str = ""
    available_worlds: tuple[messages.Named, ...] = ()
    available_characters: tuple[messages.Named, ...] = ()
    available_models: tuple[messages.ModelOption, ...] = ()
    available_rules: tuple[messages.Named, ...] = ()
    available_sessions: tuple[messages.SessionOption, ...] = ()
    active_rules: tuple[str, ...] = ()
    commands: tuple[messages.CommandOption, ...] = ()
    nsfw: bool = False
    persona: str | None = None  # None: the engine does not tell
    offline: bool = False
    version: str = ""
    progress: messages.Progress | None = None
    queued: int = 0
    preparing: bool = False
    table: tuple[str, ...] = ()
    typing: tuple[str, ...] = ()
    speaker: str = ""
    sheet: tuple[messages.SheetRow, ...] = ()
    quick_replies: tuple[messages.QuickReply, ...] = ()
    problems: tuple[str, ...] = ()
    settings: tuple[messages.SettingOption, ...] = ()


class LinkState(NamedTuple):
    """``state`` is connecting, syncing, online or lost; ``note`` says why when it is not online."""

    state: str = "connecting"
    note: str = ""
    gap: bool = False  # a resync is under way because part of a reply is missing


class TurnState(NamedTuple):
    """The reply this story waits for or shows growing.

    ``state`` is idle, waiting (for its first words), streaming or stopping (``/cancel`` was sent).
    """

    state: str = "idle"
    turn: str = ""


class Meter(NamedTuple):
    """Numbers of the header and the status line.

    ``live_*`` follow every chunk, the others are what the screen shows: they move at most once a
    second, because every change is bytes over a slow line.
    """

    tokens_per_second: float = 0.0
    new_words: int = 0
    total_tokens: int = 0
    cost: float = 0.0
    seconds: float = 0.0
    ended_at: str = ""  # wall clock, HH:MM
    live_tokens_per_second: float = 0.0
    live_new_words: int = 0
    shown_at: float = 0.0  # monotonic seconds


class Notice(NamedTuple):
    """The one line of news in the status line; ``kind`` is info, good or bad.

    ``until``: monotonic seconds when it goes; 0 until it has been drawn for the first time.
    ``in_story``: the same words stand in the story, too.
    """

    text: str = ""
    kind: str = "info"
    until: float = 0.0
    in_story: bool = False


class Popup(NamedTuple):
    """An open popup: which one, what was typed to filter it, which entry is chosen."""

    kind: str
    filter: str = ""
    place: int = 0
    subject: str = ""  # what a confirmation is about; the words of a text
    leads: bool = False  # a text whose rows go to the message they name: the answer to /branches


class Tree(NamedTuple):
    """The open tree view of a story; times are monotonic seconds.

    ``asking``: what the keys type at: a filter, a name, delete (yes or no), or ``""`` for nothing.
    """

    session: str
    outline: StoryTree | None = None  # None until it came
    at: int = 0  # message of the chosen node; 0: where the story is
    top: int = 0  # the first line in view
    skip: int = 0  # rows of the chosen message's text that are scrolled away
    filter: str = ""
    asking: str = ""
    typed: str = ""
    follow: bool = False  # the chosen node is where the story is, wherever that goes
    stale: bool = False  # the story has changed since the outline was asked for
    loading: bool = False
    asked_at: float = 0.0  # when the outline was asked for last
    moved_at: float = 0.0  # when another node was chosen
    text_request: int = 0  # the message whose text was asked for
    texts: tuple[tuple[int, str], ...] = ()  # messages and their texts, the newest last


class Scroll(NamedTuple):
    """Top of the story pane: row ``row`` of message ``key``. ``follow``: the newest text is in view."""

    key: int = 0
    row: int = 0
    follow: bool = True


class Search(NamedTuple):
    """A search in the story; ``typing``: the input line edits ``term``."""

    term: str = ""
    typing: bool = False


class Draft(NamedTuple):
    """A story prompt that no engine has confirmed yet; sent again after every reconnect."""

    request: str
    text: str


class Model(NamedTuple):
    """Everything the screen shows and every key acts on."""

    columns: int
    rows: int
    theme: Theme
    pane: StoryPane
    bindings: Bindings
    settings: Settings = Settings()
    own_settings: tuple[messages.SettingOption, ...] = ()  # of the screen: ``tui.`` in its home
    own_problems: tuple[str, ...] = ()  # what is wrong with them
    read_problems: tuple[str, ...] = ()  # what the user has looked at
    client: str = ""  # stable id of this client
    nonce: str = ""  # random per process; makes request ids unique
    requests: int = 0
    # time, as of the last tick
    now: float = 0.0
    wall: float = 0.0
    clock: str = ""
    # the engine
    replica: Replica = Replica()
    link: LinkState = LinkState()
    meter: Meter = Meter()
    progress_from: tuple[float, int] | None = None  # when progress was first seen, and where it was
    pending_command: str = ""  # whose answer the player waits for, having typed nothing since
    hits: tuple[messages.FoundMessage, ...] = ()  # of the last search in all stories
    # the story
    story: Transcript = Transcript()
    turn: TurnState = TurnState()
    scroll: Scroll = Scroll()
    search: Search = Search()
    goal: int = 0  # the message that has to come into view, once it is here
    selected: int | None = None  # key of the chosen message while choosing messages
    unfolded: bool = False  # show the models' thinking
    unconfirmed: tuple[Draft, ...] = ()
    recalled: tuple[messages.RecallItem, ...] = ()
    suggestions: tuple[str, ...] = ()  # lines to say next; a digit takes one until something was said
    step: int = -1  # chosen row of the checklist; -1: the first open one
    # pictures of who speaks
    pictures: str = ""  # how they are shown: "", blocks, kitty, sixel
    picture_asked: str = ""  # whose picture was asked for last
    picture: Picture | None = None
    # the input line
    input: Editor = Editor()
    rest: str = ""  # of a text too long for one line: comes into the input when that was sent
    menu: int = -1  # chosen entry of the completion menu; -1: none
    menu_closed: bool = False  # Escape closed the menu for this line
    typed_path: str = ""  # of which ``paths`` are to be listed, and those that were
    paths: tuple[str, ...] = ()
    recent: tuple[str, ...] = ()  # commands, newest first
    chord: str = ""  # first key of a two-key binding
    typing_sent_at: float = -60.0  # when a table was last sent that a line is typed
    focused: bool = True
    # over the story
    popup: Popup | None = None
    waiting: Popup | None = None  # what came while the player was writing: a key shows it
    shelf: ListedLibrary | None = None  # the library's list in the open popup
    filtered_at: float = 0.0  # when its filter was typed at, in monotonic seconds
    tree: Tree | None = None
    form: TypedForm | None = None
    # the status line
    notice: Notice = Notice()
    held: str = ""  # bad news that wait until the engine has greeted, or its greeting would hide them
    status_rows: int = 1  # rows of it in the last frame


# --- inputs -------------------------------------------------------------------------------------


class Resized(NamedTuple):
    """The terminal has this many cells now."""

    columns: int
    rows: int


class Tick(NamedTuple):
    """A frame is about to be drawn.

    ``now``: monotonic seconds; ``wall``: Unix time in seconds; ``clock``: local time of day, HH:MM.
    """

    now: float
    wall: float = 0.0
    clock: str = ""


class Edited(NamedTuple):
    """The external editor gave this text back; ``path``: its file, when that holds more."""

    text: str
    path: str = ""


class Restored(NamedTuple):
    """A draft of an earlier run was found."""

    text: str


class PicturesShown(NamedTuple):
    """How this terminal shows pictures: ``""`` not at all, blocks, kitty or sixel."""

    how: str


class Picture(NamedTuple):
    """A character's picture: rows of red, green and blue from the top; no pixels: there is none."""

    character: str
    width: int = 0
    height: int = 0
    pixels: bytes = b""


class Configured(NamedTuple):
    """The configuration was read; ``problems`` are sentences for the user."""

    settings: Settings
    theme: Theme
    bindings: Bindings
    problems: tuple[str, ...] = ()


class PathsListed(NamedTuple):
    """What there is on the disk that begins with ``typed``; folders end with a slash."""

    typed: str
    paths: tuple[str, ...]


class SettingsListed(NamedTuple):
    """The screen's own settings as they are now."""

    options: tuple[messages.SettingOption, ...]


class Notified(NamedTuple):
    """The app itself has news for the status line."""

    notice: Notice


AppInput = (
    Resized | Edited | Restored | Configured | Notified | PathsListed | SettingsListed | PicturesShown
)
Input = Key | Paste | Mouse | Focus | Reply | Tick | Received | LinkChanged | AppInput

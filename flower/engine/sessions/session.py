"""One story while it is open: who watches it, which reply grows, which prompts wait. Pure.

Owns what several clients of one story must agree on. All truth about past messages is in the
database; this holds only what is under way. Changes are plain method calls without ``await``, so
each happens whole. Nothing here reads a clock, writes a file or sends anything: ``publish`` puts
events into outboxes.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import Protocol

from msgspec import Struct, structs

from flower import limits
from flower.engine.prompt.direction import StoryRef
from flower.engine.prompt.sent import SentPrompt
from flower.engine.provider.answers import Prepared
from flower.engine.provider.base import Completion, Provider
from flower.engine.sessions.joint import Joint
from flower.engine.sessions.outbox import Outbox
from flower.engine.sessions.rights import Need, StoryRole, Visitor, check
from flower.engine.store.selections import Selection
from flower.engine.store.users import HOME
from flower.errors import CommandError, ElsewhereError
from flower.protocol.messages import (
    ChatChunk,
    ChatEnd,
    ChatReasoning,
    ChunkMeta,
    Event,
    State,
    SystemUpdate,
)


class Subscriber(Protocol):
    """An outbox that never makes the sender wait."""

    def put_nowait(self, event: Event) -> None: ...


class WaitingLine(Struct, frozen=True):
    """A line that came while a reply was streaming."""

    line: str
    selection: Selection  # of its client, when it was sent
    request: str | None
    id: int  # of its row; it was stored before it was acknowledged


class FinishedReply(Struct, frozen=True):
    """A reply that has ended.

    ``first``: its line was answered for the first time, neither a variant nor a continuation.
    ``proposed``: the narrator's block of changes. ``scripted``: scripts hold that may show it otherwise.
    """

    message_id: int
    line: str  # that it answers
    text: str
    status: str
    model: str
    first: bool
    proposed: str = ""
    scripted: bool = False


class GrowingReply:
    """The text of a reply that is being generated."""

    def __init__(
        self, turn: str, message_id: int, line: str, model: str, world_id: str, text: str = ""
    ) -> None:
        self.turn = turn
        self.message_id = message_id
        self.line = line
        self.model = model
        self.world_id = world_id
        self.length = len(text)  # characters so far
        self._parts = [text] if text else []
        self.reasoning_length = 0
        self.proposed = ""  # the narrator's block of changes, which is no part of the text
        self.scripted = False  # scripts hold, by which screens may show it otherwise than it streams
        self._base = text  # what a continuation goes on from
        self._joint = Joint(text) if text else None

    @property
    def text(self) -> str:
        """The text so far."""
        if len(self._parts) > 1:
            self._parts = ["".join(self._parts)]
        return self._parts[0] if self._parts else ""

    def append(self, text: str, tokens_per_second: float) -> ChatChunk | None:
        """Adds text and returns the chunk to publish; None if nothing of it belongs to the story.

        White space before the first word is dropped, and so is all beyond ``limits.REPLY_CHARS``.
        """
        if not self.length:
            text = text.lstrip()
        elif self._joint is not None:
            text = self._joint.feed(text)
        text = text[: limits.REPLY_CHARS - self.length]
        if not text:
            return None
        offset = self.length
        self._parts.append(text)
        self.length += len(text)
        return ChatChunk(text, self._meta(tokens_per_second, offset))

    def join_with(self, words: Iterable[str]) -> None:
        """Says which texts the words of the story are in, by which a cut word is known from a whole one."""
        if self._joint is not None:
            self._joint.know(words)

    def goes_on_exactly(self, sent: str) -> None:
        """Says that what comes is the very next of the text; ``sent``: its end, as the server had it."""
        if self._joint is not None:
            self._joint.goes_on_exactly(sent)

    def rest(self, tokens_per_second: float) -> ChatChunk | None:
        """Returns the chunk for what still waited for more words of a continuation; None for nothing."""
        if self._joint is None:
            return None
        held, self._joint = self._joint.end(), None
        return self.append(held, tokens_per_second) if held else None

    def keep(self, length: int, tokens_per_second: float) -> ChatChunk:
        """Takes back all but the first ``length`` characters; returns the chunk that says so.

        What a continuation goes on from always stays.
        """
        text = self.text[: max(length, len(self._base))]
        self._parts, self.length = [text] if text else [], len(text)
        self._joint = Joint(self._base) if self._base and text == self._base else None
        return ChatChunk("", structs.replace(self._meta(tokens_per_second, self.length), replace=True))

    def think(self, text: str, tokens_per_second: float) -> ChatReasoning:
        """Returns the chunk for some of the model's thinking, which is not kept."""
        offset = self.reasoning_length
        self.reasoning_length += len(text)
        return ChatReasoning(text, self._meta(tokens_per_second, offset))

    @property
    def full(self) -> bool:
        return self.length >= limits.REPLY_CHARS

    def _meta(self, tokens_per_second: float, offset: int) -> ChunkMeta:
        return ChunkMeta(
            model=self.model,
            tokens_per_second=round(tokens_per_second, 1),
            world_id=self.world_id,
            turn=self.turn,
            offset=offset,
        )


class Session:
    """A story with its watchers and its running reply."""

    def __init__(
        self,
        session_id: str,
        world_id: str,
        character_id: str,
        window_start: int | None = None,
        owner: int = HOME,
    ) -> None:
        self.id = session_id
        self.owner = owner
        self.shared = False  # others play in it as well
        self.world_id = world_id
        self.character_id = character_id
        self.reply: GrowingReply | None = None
        self.busy = False  # from accepting a line until its reply has ended
        self.request: str | None = None  # of the line that is being answered
        self.sent: SentPrompt | None = None  # the last request for a reply
        self.opened_at = 0.0  # on trio's clock
        self.ended_elsewhere: tuple[ChatEnd, ...] = ()  # replies whose engine died
        self.knows_ended: set[str] = set()  # the clients that have heard of it
        self.expected = 0  # lines and changes on their way to it, which still wait for the disk
        # At a table: held from whose turn it is to the line that ends it.
        self.one_speaks: AbstractAsyncContextManager[object] = nullcontext()
        self.prepared: tuple[Prepared, ...] = ()  # answers to what may be asked next
        self._window_start = window_start
        self.unsaved: dict[int, FinishedReply] = {}  # by message; the rows have less of their text
        self.titled_to: int | None = 0  # passage up to which memories say who spoke; None: all of them
        self._notified: set[str] = set()
        self._speaker = ""  # of a cast, whose reply was announced last
        self.looped = ""  # a sentence that the last replies shared when the newest prompt was made
        self._subscribers: set[Subscriber] = set()
        self._waiting: deque[WaitingLine] = deque()

    def __repr__(self) -> str:
        state = "streaming" if self.reply else "busy" if self.busy else "idle"
        return f"<Session {self.id} {state}, {len(self._subscribers)} watching, {len(self._waiting)} waiting>"

    @property
    def story(self) -> StoryRef:
        """Which story it is."""
        return StoryRef(self.id, self.world_id, self.character_id)

    @property
    def in_use(self) -> bool:
        return self.busy or bool(self.expected or self._subscribers or self._waiting or self.unsaved)

    @property
    def is_working(self) -> bool:
        """Whether something of it is not done or not on disk yet; lines that wait are."""
        return self.busy or bool(self.expected or self.unsaved)

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    @property
    def window_start(self) -> int | None:
        """The first message of the history in the newest prompt; None: the next one lays it out anew."""
        return self._window_start

    def move_window(self, start: int | None) -> None:
        """Notes where the history of the newest prompt begins, or that its way through the tree is left."""
        self._window_start = start

    def take_prepared(self, provider: Provider, completion: Completion) -> Prepared | None:
        """Takes the answer to this very completion, if it was prepared."""
        for one in self.prepared:
            if one.provider is provider and one.completion == completion:
                self.prepared = tuple(other for other in self.prepared if other is not one)
                return one
        return None

    def subscribe(self, subscriber: Subscriber) -> None:
        self._subscribers.add(subscriber)

    def unsubscribe(self, subscriber: Subscriber) -> None:
        self._subscribers.discard(subscriber)

    def notify_once(self, note: str) -> None:
        """Publishes what would be the same in every turn, the first time only."""
        if note not in self._notified:
            self._notified.add(note)
            self.publish(SystemUpdate(note))

    def tell_speaker(self, character_id: str) -> None:
        """Publishes whose reply it is, when that has changed."""
        if character_id != self._speaker:
            self._speaker = character_id
            self.publish(SystemUpdate("", State(speaker=character_id)))

    def publish(self, event: Event) -> None:
        """Hands ``event`` to every watcher; never waits."""
        for subscriber in self._subscribers:
            subscriber.put_nowait(event)

    @property
    def has_room(self) -> bool:
        """Whether one more line may wait."""
        return len(self._waiting) < limits.PROMPT_QUEUE

    def enqueue(self, waiting: WaitingLine) -> None:
        """Keeps a line for when the running reply has ended."""
        self._waiting.append(waiting)

    def next_waiting(self) -> WaitingLine | None:
        """Takes the line that has waited longest."""
        return self._waiting.popleft() if self._waiting else None

    def drop_waiting(self) -> None:
        """Forgets the waiting lines: the story or the engine ends."""
        self._waiting.clear()


# --- One connected client, as the engine knows it.

HOME_OWNER = Visitor()


# The id under which one engine has another one carry out a prompt, for a user: it watches no story there.
ASKING = "+asks"


async def _nobody_there(address: str, prompt: str, request: str) -> Event:
    raise CommandError(
        f"Another engine plays this story; open it first. ({address or 'It tells no address.'})"
    )


class Client:
    """A client: its outbox, what it has chosen and the story it watches."""

    def __init__(
        self,
        outbox: Outbox,
        chosen: Selection,
        on_leave: Callable[[], None],
        rights: str = "",
        visitor: Visitor = HOME_OWNER,
    ) -> None:
        self.outbox = outbox
        self.chosen = chosen
        self.visitor = visitor
        self.session: Session | None = None
        self.role = StoryRole.NOBODY  # at that story
        self.answering = False  # one of its prompts is being carried out
        self.elsewhere: ElsewhereError | None = None  # its story is played there; it is leaving
        self.ask_there = (
            _nobody_there  # has another engine carry out a prompt: address, prompt, request
        )
        self.rights = rights  # what it may change of the program; see ``program``
        self.on_leave = on_leave  # to be called when it says that it leaves for good
        self.request: str | None = None  # of the prompt that is being carried out
        self.answers: list[str] = []  # what has been said of that prompt
        self.fields: Mapping[str, str] = {}  # what that prompt brought of a form
        self.drafted: Mapping[
            str, str
        ] = {}  # the character that was drafted for it last, not stored yet

    def __repr__(self) -> str:
        return f"<Client {self.chosen.client!r} on {self.session!r}>"

    def check(self, need: Need) -> None:
        """Raises ``CommandError`` when its user may not do what needs this, in the story it watches."""
        check(self.visitor, self.role if self.session is not None else None, need)

    def check_own(self, library: int, copy: str) -> None:
        """Raises ``CommandError`` when something is not its user's to change; ``copy`` is what makes one of theirs."""
        if library != self.visitor.id:
            raise CommandError(
                f"This is everybody's, and only whoever keeps this home changes it; {copy} makes one of your own."
            )

    @property
    def plays_elsewhere(self) -> bool:
        """Whether it watches another's story, where its user has a persona of their own."""
        return self.session is not None and self.role is not StoryRole.OWNER

    @property
    def name(self) -> str:
        """The id that it gave itself."""
        key = self.chosen.client
        return key.partition("/")[2] if self.visitor.id else key

    @property
    def key(self) -> str:
        """What tells its prompts from others': its id, else this connection."""
        return self.chosen.client if self.name else f"connection {id(self):x}"

    def send(self, event: Event) -> None:
        """Puts an event into its outbox."""
        self.outbox.put_nowait(event)

    def leave_for(self, elsewhere: ElsewhereError) -> None:
        """Notes that the client goes to another engine when it has got what is on its way to it."""
        self.elsewhere = elsewhere
        self.outbox.close()

    def notify(self, text: str, state: State | None = None) -> None:
        """Sends a line for its user, and what of the state has changed; names the prompt it answers."""
        state = state if state is not None else State()
        if self.request is not None:
            self.answers.append(text)
            state = structs.replace(state, request=self.request)
        self.send(SystemUpdate(text, state))


ANSWERS_KEPT = 256  # prompts, over all clients: who repeats one does so right after a reconnect

RequestKey = tuple[str, str]  # client and request


class Answers:
    """What clients were sent about their last prompts, to be given again when a prompt is repeated.

    In memory only: that a prompt was carried out is in the database, and after a restart a general sentence will do.
    """

    def __init__(self) -> None:
        self._texts: OrderedDict[RequestKey, tuple[str, ...]] = OrderedDict()

    def keep(self, key: RequestKey, texts: tuple[str, ...]) -> None:
        """Remembers what was said; the oldest is forgotten."""
        self._texts[key] = texts
        while len(self._texts) > ANSWERS_KEPT:
            self._texts.popitem(last=False)

    def of(self, key: RequestKey) -> tuple[str, ...]:
        """Returns what was said, () when that is not known any more."""
        return self._texts.get(key, ())

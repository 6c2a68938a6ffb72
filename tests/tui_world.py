"""A face without terminal and socket: keys and events in, screens out."""

from __future__ import annotations

import re
from collections.abc import Iterable

from flower.client.events import LinkChanged, Received, Send
from flower.protocol import messages
from flower.tui.render.frame import Frame
from flower.tui.render.messages import StoryPane
from flower.tui.render.style import PLAIN, Style
from flower.tui.render.theme import load_theme
from flower.tui.state import bindings
from flower.tui.state.effects import Effect
from flower.tui.state.model import Input, Model, Resized, Tick
from flower.tui.state.update import update
from flower.tui.term.inputs import Key, Paste
from flower.tui.view.screen import Screen

CLIENT = "face-1"
WORLDS = (
    messages.Named(
        "ember", "The Ember Coast", "A coast of lamps and wrecks, where the tide keeps accounts."
    ),
    messages.Named("glass", "Glass Harbour"),
)
CHARACTERS = (messages.Named("mira", "Mira the Cartographer"), messages.Named("tam", "Tam"))
MODELS = (
    messages.ModelOption("offline", "Offline narrator", 0.0, 0.0, note="no AI model"),
    messages.ModelOption("gpt-4o-mini", "GPT-4o mini", 0.15, 0.6, context=128_000),
)
RULES = (messages.Named("terse", "Short replies"), messages.Named("dice", "Dice decide"))
COMMANDS = (
    messages.CommandOption("/world select", "/world select ID", "choose a world", "worlds"),
    messages.CommandOption("/world attach_lore", "/world attach_lore TEXT", "add lore to the world"),
    messages.CommandOption(
        "/character select", "/character select ID", "choose a character", "characters"
    ),
    messages.CommandOption("/model", "/model ID", "choose a model", "models"),
    messages.CommandOption("/rules add", "/rules add ID", "add a rule", "rules"),
    messages.CommandOption("/rules clear", "/rules clear", "drop all rules"),
    messages.CommandOption("/session new", "/session new", "begin a new story"),
    messages.CommandOption("/session continue", "/session continue ID", "continue a story", "sessions"),
    messages.CommandOption("/session delete", "/session delete ID", "delete a story", "sessions"),
    messages.CommandOption("/persona", "/persona [NAME|TEXT]", "say who you are", ""),
    messages.CommandOption("/cancel", "/cancel", "stop the reply"),
    messages.CommandOption("/help", "/help", "what can be typed"),
    messages.CommandOption("/sync", "/sync", "send everything again"),
)


class Face:
    """Drives the pure core as the app does: every input is followed by a frame."""

    def __init__(
        self, columns: int = 80, rows: int = 24, *, theme: str = "petal", utf8: bool = True
    ) -> None:
        look = load_theme(theme, utf8=utf8)
        self.model = Model(
            columns, rows, look, StoryPane(look), bindings.default(), client=CLIENT, nonce="n"
        )
        self.screen = Screen()
        self.effects: list[Effect] = []
        self.now = 100.0
        self.frame = self.tick()

    def put(self, *inputs: Input) -> Face:
        """Feeds inputs and draws after each."""
        for happened in inputs:
            self.model, effects = update(self.model, happened)
            self.effects += effects
            self.frame = self.tick()
        return self

    def tick(self, seconds: float = 0.0) -> Frame:
        """Lets time pass and draws."""
        self.now += seconds
        self.model, effects = update(self.model, Tick(self.now, 1_800_000_000.0, "21:07"))
        self.effects += effects
        self.frame = self.screen.draw(self.model)
        return self.frame

    def type(self, keys: str) -> Face:
        """Types like ``hello<enter>``; names of keys are in angle brackets."""
        for name, char in re.findall(r"<([^<>\s]+)>|(.)", keys, re.DOTALL):
            key = Key(name) if name else Key("space" if char == " " else char, char)
            self.put(key)
        return self

    def paste(self, text: str) -> Face:
        return self.put(Paste(text))

    def says(self, *events: messages.Event) -> Face:
        """The engine sends ``events``."""
        return self.put(*(Received(event) for event in events))

    def resize(self, columns: int, rows: int) -> Face:
        return self.put(Resized(columns, rows))

    def link(self, state: str, note: str = "") -> Face:
        return self.put(LinkChanged(state, note))

    def online(self, *, session: str = "", chosen: bool = False, **state: object) -> Face:
        """Connects to an engine with the lists above; ``chosen``: world, character and model are."""
        self.link("syncing")
        told = {
            "model": "offline" if not chosen else "gpt-4o-mini",
            "model_confirmed": True,
            "world_id": "ember" if chosen else "",
            "character_id": "mira" if chosen else "",
            "session_id": session,
            "available_worlds": WORLDS,
            "available_characters": CHARACTERS,
            "available_models": MODELS,
            "available_rules": RULES,
            "available_sessions": (
                messages.SessionOption("s1", "The lamp", "ember", 1_799_990_000.0, 12),
            ),
            "active_rules": (),
            "commands": COMMANDS,
            "client": CLIENT,
            "persona": "",
            "offline": not chosen,
        }
        meta = messages.State(**{**told, **state})  # type: ignore[arg-type]  # a test's loose keywords
        return self.says(
            messages.SystemUpdate("✓ Engine ready.", messages.State(status="ok")),
            messages.SyncState("", meta),
        )

    def story(self, *lines: tuple[str, str], session: str = "s1", more: int | None = None) -> Face:
        """Connects to a story of (role, text) lines with ids from 1."""
        self.online(session=session, chosen=True)
        return self.says(history(lines, session=session, more=more))

    def sent(self) -> list[Send]:
        """Returns and forgets the prompts sent so far."""
        sent = [effect for effect in self.effects if isinstance(effect, Send)]
        self.effects.clear()
        return sent

    def text(self) -> str:
        """Returns the screen as text, without blanks at the ends of rows."""
        return "\n".join(row.text.rstrip() for row in self.frame.rows)

    def golden(self) -> str:
        """Returns the screen as text, then the same cells as letters for their styles."""
        letters: dict[Style, str] = {PLAIN: "."}
        painted: list[str] = []
        for row in self.frame.rows:
            line = ""
            for _, style in row.cells:
                letters.setdefault(
                    style, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"[len(letters) - 1]
                )
                line += letters[style]
            painted.append(line)
        legend = [f"{letter} {describe(style)}" for style, letter in letters.items()]
        cursor = f"cursor {self.frame.cursor}"
        return "\n".join([self.text(), "=" * 20, *painted, "=" * 20, *legend, cursor]) + "\n"


def describe(style: Style) -> str:
    """Returns a style in words."""
    words = [name for name in ("bold", "dim", "italic", "underline", "reverse") if getattr(style, name)]
    if style.fg is not None:
        words.append(f"#{style.fg:06x}")
    if style.bg is not None:
        words.append(f"on #{style.bg:06x}")
    return " ".join(words) or "plain"


def history(
    lines: Iterable[tuple[str, str]],
    *,
    session: str = "s1",
    more: int | None = None,
    turn: str | None = None,
    first: int = 1,
) -> messages.ChatHistory:
    items = tuple(
        messages.HistoryItem(role, text, message=number)
        for number, (role, text) in enumerate(lines, first)
    )
    unset = messages.UNSET
    meta = messages.HistoryMeta(
        items,
        session=session,
        more=unset if more is None else more,
        turn=unset if turn is None else turn,
    )
    return messages.ChatHistory("", meta)


def chunk(text: str, offset: int, turn: str = "t1", rate: float = 12.0) -> messages.ChatChunk:
    return messages.ChatChunk(
        text, messages.ChunkMeta("gpt-4o-mini", rate, "ember", turn=turn, offset=offset)
    )


def user_line(text: str, request: str | None, number: int, session: str = "s1") -> messages.ChatMessage:
    meta = messages.MessageMeta(
        "user", number, session, request=messages.UNSET if request is None else request
    )
    return messages.ChatMessage(text, meta)


def reply_begins(number: int, turn: str = "t1", session: str = "s1") -> messages.ChatMessage:
    return messages.ChatMessage("", messages.MessageMeta("assistant", number, session, turn=turn))


def end(turn: str = "t1", reason: str = "done", tokens: int = 120, **more: object) -> messages.ChatEnd:
    meta = messages.EndMeta(tokens, reason=reason, turn=turn, **more)  # type: ignore[arg-type]
    return messages.ChatEnd("", meta)

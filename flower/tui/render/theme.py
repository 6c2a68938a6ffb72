"""Themes: what every role of the screen looks like, and the glyphs it is drawn with.

Owns the names of roles and themes and the reading of style words; never knows what a terminal can
show: colours are reduced when they are written. Colours come from xterm's 6x6x6 cube, because those
cost 11 bytes instead of 19 on a true-colour terminal and look the same on one with 256.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from flower.errors import ConfigError
from flower.tui.render.style import PLAIN, Style


class Glyphs(NamedTuple):
    """Every drawn character that is not text. All are one column wide."""

    bar: str = "▌"
    prompt: str = "❯"
    flower: str = "✿"
    done: str = "✓"
    todo: str = "○"
    current: str = "›"
    dot: str = "·"
    bullet: str = "•"
    up: str = "↑"
    down: str = "↓"
    left: str = "←"
    right: str = "→"
    ellipsis: str = "…"
    h: str = "─"
    v: str = "│"
    tl: str = "╭"
    tr: str = "╮"
    bl: str = "╰"
    br: str = "╯"
    tee: str = "├"
    cross: str = "×"
    quote: str = "▎"
    spinner: tuple[str, ...] = ("⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏")


UNICODE = Glyphs()
# The Linux console's and older fonts have 256 glyphs: the ones of code page 437.
CONSOLE = UNICODE._replace(
    bar="█", prompt=">", flower="*", done="√", todo="°", current=">", tl="┌", tr="┐", bl="└", br="┘",
    cross="x", quote="│", spinner=("|", "/", "-", "\\"),
)  # fmt: skip
ASCII = Glyphs(
    bar="#", prompt=">", flower="*", done="v", todo="o", current=">", dot=".", bullet="*", up="^",
    down="v", left="<", right=">", ellipsis="~", h="-", v="|", tl="+", tr="+", bl="+", br="+", tee="+", cross="x",
    quote="|", spinner=("|", "/", "-", "\\"),
)  # fmt: skip


class Ink(NamedTuple):
    """The few colours that a theme is made of."""

    base: Style  # what plain text and empty cells look like
    accent: int | None
    soft: int | None  # a quieter accent
    faint: int | None  # side remarks and lines
    speech: int | None  # dialogue
    good: int | None
    bad: int | None
    raised: int | None  # background of popups
    chosen: int | None  # background of the chosen entry
    on_chosen: int | None


class Recipe(NamedTuple):
    """A theme of the user's: another one with some roles changed."""

    like: str
    styles: Mapping[str, str]


class Theme:
    """Styles by role. ``theme["accent"]`` is a ``Style``; an unknown role raises ``KeyError``."""

    __slots__ = ("_styles", "base", "glyphs", "name")

    def __init__(self, name: str, base: Style, styles: Mapping[str, Style], glyphs: Glyphs) -> None:
        self.name = name
        self.base = base  # the painter lays every cell on it
        self.glyphs = glyphs
        self._styles = dict(styles)

    def __getitem__(self, role: str) -> Style:
        return self._styles[role]

    def roles(self) -> tuple[str, ...]:
        """Returns the names that can be overridden, sorted."""
        return tuple(sorted(self._styles))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Theme):
            return NotImplemented
        return (self.name, self.base, self.glyphs, self._styles) == (
            other.name,
            other.base,
            other.glyphs,
            other._styles,
        )

    def __hash__(self) -> int:
        return hash((self.name, self.base, self.glyphs))

    def __repr__(self) -> str:
        return f"Theme({self.name!r})"


_INKS = {
    "petal": Ink(PLAIN, 0xFF5FAF, 0xD787AF, 0x808080, 0xFF87AF, 0x5FAF5F, 0xFF5F5F, None, 0xD75F87, 0xFFFFFF),
    "night": Ink(
        Style(0xD0D0D0, 0x121212), 0xFF87AF, 0x8787AF, 0x767676, 0xFFAFD7, 0x87D787, 0xFF8787, 0x262626,
        0x5F5F87, 0xFFFFFF,
    ),
    "paper": Ink(
        Style(0x303030, 0xFFFFFF), 0xAF005F, 0x875F87, 0x767676, 0x87005F, 0x005F00, 0xAF0000, 0xEEEEEE,
        0xFFD7FF, 0x303030,
    ),
    "contrast": Ink(
        Style(0xFFFFFF, 0x000000), 0xFFFF00, 0xFFFFFF, 0xFFFFFF, 0xFFFF87, 0x00FF00, 0xFF8787, 0x000000,
        0xFFFF00, 0x000000,
    ),
    "sixteen": Ink(PLAIN, 0xFF00FF, 0xAA00AA, None, 0xFF00FF, 0x00AA00, 0xFF0000, None, 0xAA00AA, 0xFFFFFF),
    "mono": Ink(PLAIN, None, None, None, None, None, None, None, None, None),
}  # fmt: skip
THEMES = tuple(_INKS)
DEFAULT = "petal"
NO_RECIPES: Mapping[str, Recipe] = {}


def _styles(ink: Ink) -> dict[str, Style]:
    """Returns the style of every role."""
    return {**_story_styles(ink), **_screen_styles(ink), **_popup_styles(ink)}


def _faint(ink: Ink) -> Style:
    return Style(ink.faint, dim=ink.faint is None)


def _story_styles(ink: Ink) -> dict[str, Style]:
    soft = Style(ink.soft)
    return {
        # Story text and typed text look alike on purpose: the pen then keeps its style while a reply
        # streams and the cursor goes back to the input line.
        "text": PLAIN,
        "narrator": PLAIN,
        "input": PLAIN,
        "user": soft,
        "system": soft._replace(dim=ink.soft is None),
        "notice": Style(ink.bad),
        "thinking": _faint(ink)._replace(italic=True),
        "dialogue": Style(ink.speech),
        "heading": Style(ink.accent, bold=True),
        "quote": soft._replace(italic=True),
        "code": Style(ink.soft, ink.raised),
        "emphasis": Style(italic=True),
        "strong": Style(bold=True),
        "strike": Style(dim=True),
        "link": Style(underline=True),
        "rule": _faint(ink),
        "bullet": Style(ink.accent),
        "highlight": Style(reverse=True),
        "selection": Style(reverse=True),
    }


def _screen_styles(ink: Ink) -> dict[str, Style]:
    accent, faint, bad = Style(ink.accent, bold=True), _faint(ink), Style(ink.bad, bold=True)
    return {
        "dim": faint,
        "border": faint,
        "title": accent,
        "accent": accent,
        "cursor_line": Style(bg=ink.raised),
        "header": accent,
        "header_dim": faint,
        "status": faint,
        "status_ok": Style(ink.good),
        "status_bad": bad,
        "error": bad,
        "spinner": Style(ink.accent),
        "ghost": faint,
        "sidebar": PLAIN,
        "sidebar_title": Style(ink.soft, bold=True),
        "sidebar_border": faint,
    }


def _popup_styles(ink: Ink) -> dict[str, Style]:
    return {
        "popup": Style(bg=ink.raised),
        "popup_border": Style(ink.accent, ink.raised),
        "popup_title": Style(ink.accent, ink.raised, bold=True),
        "popup_selected": Style(ink.on_chosen, ink.chosen, bold=True, reverse=ink.chosen is None),
        "popup_dim": _faint(ink)._replace(bg=ink.raised),
        "popup_match": Style(ink.accent, ink.raised, bold=True, underline=ink.accent is None),
    }


def load_theme(
    name: str = DEFAULT,
    overrides: Mapping[str, str] | None = None,
    *,
    utf8: bool = True,
    console: bool = False,
    own: Mapping[str, Recipe] = NO_RECIPES,
) -> Theme:
    """Returns a theme of ``THEMES`` or of the user's ``own``, with some roles changed.

    ``overrides`` maps roles to style words, see ``parse_style``; the role ``base`` is what everything
    lies on. ``utf8`` False gives ASCII glyphs, ``console`` those of a text console's font. Raises
    ``ConfigError`` that names where the wrong name, role or word is.
    """
    recipe = own.get(name)
    ink = _INKS.get(recipe.like if recipe else name)
    if ink is None and recipe:
        raise ConfigError(f"themes/{name}.yaml: like must be one of {', '.join(THEMES)}.")
    if ink is None:
        raise ConfigError(
            f"tui.theme: there is no theme '{name}'; choose one of {', '.join((*THEMES, *own))}."
        )
    styles, base = _styles(ink), ink.base
    changes = [("tui.styles", overrides or {})]
    if recipe:
        changes.insert(0, (f"themes/{name}.yaml", recipe.styles))
    for source, roles in changes:
        for role, words in roles.items():
            if role == "base":
                base = _parsed(words, source)
            elif role in styles:
                styles[role] = _parsed(words, source)
            else:
                raise ConfigError(
                    f"{source}: there is no role '{role}'; choose one of base, {', '.join(sorted(styles))}."
                )
    glyphs = CONSOLE if console else UNICODE
    return Theme(name, base, styles, glyphs if utf8 else ASCII)


def _parsed(words: str, source: str) -> Style:
    try:
        return parse_style(words)
    except ConfigError as error:
        raise ConfigError(f"{source}: {error}") from None


_ATTRIBUTES = ("bold", "dim", "italic", "underline", "reverse")
_NAMED = {
    "black": 0x000000, "red": 0xD70000, "green": 0x00AF00, "yellow": 0xD7AF00, "blue": 0x5F87FF,
    "magenta": 0xD700D7, "cyan": 0x00AFAF, "white": 0xFFFFFF, "grey": 0x808080, "pink": 0xFF87AF,
    "orange": 0xFF8700, "purple": 0xAF87FF,
}  # fmt: skip


def parse_style(words: str) -> Style:
    """Returns the style that words like ``bold #ff87af on #121212`` name.

    A colour is ``#rrggbb`` or one of a few names, ``on`` goes before the background, ``default`` is the
    terminal's own. Raises ``ConfigError`` with the word that is none of them.
    """
    style, background = PLAIN, False
    for word in words.lower().split():
        if word == "on":
            background = True
        elif word in _ATTRIBUTES:
            style = style._replace(**{word: True})
        else:
            color = None if word == "default" else _color(word)
            style = style._replace(bg=color) if background else style._replace(fg=color)
            background = False
    return style


def _color(word: str) -> int:
    if word in _NAMED:
        return _NAMED[word]
    if (
        word.startswith("#")
        and len(word) == 7
        and all(digit in "0123456789abcdef" for digit in word[1:])
    ):
        return int(word[1:], 16)
    raise ConfigError(
        f"'{word}' is no colour or attribute; write #rrggbb, one of "
        f"{', '.join(_NAMED)}, default, or one of {', '.join(_ATTRIBUTES)}."
    )

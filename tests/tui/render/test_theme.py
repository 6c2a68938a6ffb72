"""Themes: complete, readable from words, and reduced sensibly to few colours."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flower.errors import ConfigError
from flower.tui.render import text
from flower.tui.render.style import PLAIN, TRUE_COLOR, Style, palette_16, palette_256, sgr
from flower.tui.render.theme import (
    ASCII,
    CONSOLE,
    THEMES,
    UNICODE,
    Glyphs,
    Recipe,
    load_theme,
    parse_style,
)
from flower.tui.term.diff import Capabilities
from tests.screen import Screen, reduced

colors = st.none() | st.integers(0, 0xFFFFFF)
flags = st.booleans()
styles = st.builds(Style, colors, colors, flags, flags, flags, flags, flags)


@pytest.mark.parametrize("name", THEMES)
def test_every_theme_has_every_role(name: str) -> None:
    assert load_theme(name).roles() == load_theme("petal").roles()


@pytest.mark.parametrize("name", THEMES)
def test_story_text_and_input_look_alike(name: str) -> None:
    """So that the pen keeps its style while a reply streams and the cursor returns to the input."""
    theme = load_theme(name)
    assert theme["narrator"] == theme["input"] == theme["text"]


@pytest.mark.parametrize(
    "name", [name for name in THEMES if name not in ("sixteen", "contrast", "mono")]
)
def test_colours_are_cheap(name: str) -> None:
    """Colours of the palette cost 8 bytes less in true colour, and look the same with 256."""
    theme = load_theme(name)
    for role in theme.roles():
        for color in (theme[role].fg, theme[role].bg):
            assert color is None or palette_256(color)[1], f"{role}: {color:06x}"


def test_mono_has_no_colour_at_all() -> None:
    theme = load_theme("mono")
    assert all((theme[role].fg, theme[role].bg) == (None, None) for role in theme.roles())
    assert theme["popup_selected"].reverse


@pytest.mark.parametrize("glyphs", [UNICODE, CONSOLE, ASCII])
def test_every_glyph_is_one_column(glyphs: Glyphs) -> None:
    for value in glyphs:
        for glyph in [value] if isinstance(value, str) else value:
            assert text.width(glyph) == 1
            assert glyphs is not ASCII or glyph.isascii()


def test_without_utf8_glyphs_are_ascii() -> None:
    assert load_theme(utf8=False).glyphs is ASCII
    assert load_theme(console=True).glyphs is CONSOLE


@pytest.mark.parametrize(
    ("words", "style"),
    [
        ("", PLAIN),
        ("bold #ff87af", Style(0xFF87AF, bold=True)),
        ("pink on #121212 italic", Style(0xFF87AF, 0x121212, italic=True)),
        ("on white", Style(bg=0xFFFFFF)),
        ("reverse default", Style(reverse=True)),
    ],
)
def test_styles_from_words(words: str, style: Style) -> None:
    assert parse_style(words) == style


@pytest.mark.parametrize(
    ("call", "names"),
    [
        (lambda: load_theme("neon"), "neon"),
        (lambda: load_theme("petal", {"nose": "red"}), "nose"),
        (lambda: load_theme("petal", {"text": "bolt red"}), "tui.styles.*bolt"),
        (lambda: load_theme("x", own={"x": Recipe("neon", {})}), "themes/x.yaml.*like"),
        (lambda: load_theme("x", own={"x": Recipe("petal", {"nose": "red"})}), "themes/x.yaml.*nose"),
        (lambda: parse_style("#12345"), "#12345"),
    ],
)
def test_mistakes_are_named(call: object, names: str) -> None:
    with pytest.raises(ConfigError, match=names):
        call()  # type: ignore[operator] # a table of calls


def test_overrides_replace_roles_and_the_base() -> None:
    theme = load_theme("petal", {"user": "bold green", "base": "white on black"})
    assert theme["user"] == parse_style("bold green")
    assert theme.base == Style(0xFFFFFF, 0x000000)
    assert theme["narrator"] == load_theme("petal")["narrator"]


def test_a_theme_of_the_users_lies_between_its_model_and_single_styles() -> None:
    own = {"dusk": Recipe("night", {"user": "green", "quote": "red"})}
    theme = load_theme("dusk", {"quote": "blue"}, own=own)
    assert theme.name == "dusk"
    assert theme["user"] == parse_style("green")
    assert theme["quote"] == parse_style("blue")
    assert theme.base == load_theme("night").base


@given(styles, styles, st.sampled_from([0, 8, 16, 256, TRUE_COLOR]))
def test_the_pen_gets_the_style_from_any_other(old: Style, new: Style, count: int) -> None:
    """Whatever the pen was, the escape text makes it the new style, in as many colours as there are."""
    caps = Capabilities(colors=count)
    screen = Screen(4, 2)
    screen.feed((sgr(None, old, count) + sgr(old, new, count)).encode())
    assert screen.pen == reduced(new, caps)


@given(styles, st.sampled_from([0, 16, TRUE_COLOR]))
def test_no_change_costs_no_bytes(style: Style, count: int) -> None:
    assert sgr(style, style, count) == ""


@pytest.mark.parametrize(
    ("color", "index"),
    [(0xFF0000, 9), (0xFF5FAF, 13), (0xD75F87, 13), (0x00FF00, 10), (0x303030, 0), (0x808080, 8),
     (0xD0D0D0, 7), (0xFFFFFF, 15), (0x0000AA, 4), (0x00AAAA, 6), (0xAA5500, 3)],
)  # fmt: skip
def test_sixteen_colours_keep_the_hue(color: int, index: int) -> None:
    assert palette_16(color) == index


@given(st.integers(16, 255))
def test_colours_of_the_palette_are_exact(index: int) -> None:
    if index >= 232:
        level = 8 + 10 * (index - 232)
        color = level << 16 | level << 8 | level
    else:
        levels = (0, 95, 135, 175, 215, 255)
        red, rest = divmod(index - 16, 36)
        green, blue = divmod(rest, 6)
        color = levels[red] << 16 | levels[green] << 8 | levels[blue]
    assert palette_256(color)[1]

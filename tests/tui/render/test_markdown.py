"""Story Markdown: tables of cases, and the law that streaming gives the same lines as the whole."""

from __future__ import annotations

import sys
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flower.tui.render.markdown import Palette, Streaming, render
from flower.tui.render.style import PLAIN, Span, Style
from flower.tui.render.text import width
from flower.tui.render.theme import load_theme

# One letter per style, so that a test reads like the screen.
SPEECH, CODE, BULLET, QUOTE, HEAD = (Style(fg=number) for number in range(1, 6))
PALETTE = Palette(dialogue=SPEECH, code=CODE, bullet=BULLET, quote=QUOTE, heading=HEAD, rule=BULLET)
LETTERS = {SPEECH: "d", CODE: "c", BULLET: "b", QUOTE: "q", HEAD: "h"}


def letters(line: list[Span]) -> str:
    """``[text]i`` for emphasis, ``s`` strong, ``k`` struck, ``u`` link, ``d`` dialogue ...; plain as it is."""
    shown = ""
    for text, style in line:
        marks = "".join(
            letter
            for letter, on in (
                ("i", style.italic),
                ("s", style.bold),
                ("k", style.dim),
                ("u", style.underline),
            )
            if on
        )
        marks += LETTERS.get(Style(fg=style.fg), "")
        shown += f"[{text}]{marks}" if marks else text
    return shown


def show(text: str, columns: int = 60) -> list[str]:
    return [letters(line) for line in render(text, columns, PALETTE)]


@pytest.mark.parametrize(
    ("source", "wanted"),
    [
        ("plain", "plain"),
        ("*soft* and **loud** and ***both***", "[soft]i and [loud]s and [both]is"),
        ("_soft_ and __loud__", "[soft]i and [loud]s"),
        ("**bold *and italic* bold**", "[bold ]s[and italic]is[ bold]s"),
        ("*italic **and bold** italic*", "[italic ]i[and bold]is[ italic]i"),
        ("f**k this, you a**hole", "f**k this, you a**hole"),
        ("*He said f**k to me.* Yes", "[He said f**k to me.]i Yes"),
        ("Lehrer*innen und Schüler*innen", "Lehrer*innen und Schüler*innen"),
        ("un*frigging*believable", "un[frigging]ibelievable"),
        ("*soft*ly", "[soft]ily"),
        ("*He *really* means it*", "[He really means it]i"),
        ("**bold *deep **strong** deep* bold**", "[bold ]s[deep strong deep]is[ bold]s"),
        ("***both** soft*", "[both]is[ soft]i"),
        ("***both* loud**", "[both]is[ loud]s"),
        ("*soft **both***", "[soft ]i[both]is"),
        ("a * b * c", "a * b * c"),
        ("** no**", "** no**"),
        ('*"Quoted"* and "*No!*"', '["Quoted"]id and ["]d[No!]id["]d'),
        ("_soft **both**_", "[soft ]i[both]is"),
        ("_ no _", "_ no _"),
        ("* She smiles*", "[She smiles]i"),
        ("* an item", "[• ]b" + "an item"),
        ("* an *item*", "[• ]b" + "an [item]i"),
        ("~~gone~~ here", "[gone]k here"),
        ("a `code *x*` b", "a [code *x*]c b"),
        ("``a`b`` c", "[a`b]c c"),
        ("lone ` tick", "lone ` tick"),
        ("2 * 3 * 4", "2 * 3 * 4"),
        ("2*3*4", "2*3*4"),
        ("snake_case_name", "snake_case_name"),
        ("_open and never closed", "_open and never closed"),
        ("*open and never closed", "[open and never closed]i"),
        ("stray* star", "stray* star"),
        ("[name](http://x.y) z", "[name]u z"),
        ("[not a link] (x)", "[not a link] (x)"),
        (r"\*not soft\* \# \\", r"*not soft* # \\"[:-1]),
        ('She said "hello" softly', 'She said ["hello"]d softly'),
        ("“Typographic” too", "[“Typographic”]d too"),
        ("«Guillemets» too", "[«Guillemets»]d too"),
        ("„Deutsch“ too", "[„Deutsch“]d too"),
        ("5'10\" tall", "5'10\" tall"),
        ('*She smiled.* "At *last*," and left', '[She smiled.]i ["At ]d[last]id[,"]d and left'),
        ('"never closed', '["never closed]d'),
        ("<b>html</b> & &amp;", "<b>html</b> & &amp;"),
        ("a \x1b[31mred\x07", "a [31mred"),
        ("***", "[────────────────────────]b"),
        ("# Title #", "[Title]h"),
        ("###### Deep *one*", "[Deep ]h[one]ih"),
        ("#hashtag", "#hashtag"),
        ("- item", "[• ]b" + "item"),
        ("12. twelfth", "[12. ]b" + "twelfth"),
        ("> said", "[▎ ]b[said]q"),
    ],
)
def test_lines(source: str, wanted: str) -> None:
    assert show(source) == [wanted]


@pytest.mark.parametrize(
    ("source", "columns", "wanted"),
    [
        ("", 10, []),
        ("\n\n\n", 10, []),
        ("a\nb", 10, ["a", "b"]),
        ("a\n\n\n\nb", 10, ["a", "", "b"]),
        ("\n\na\n\n", 10, ["a"]),
        ("*over\ntwo lines* b", 20, ["[over]i", "[two lines]i b"]),
        ("*One.\n\nTwo.* Three", 20, ["[One.]i", "", "[Two.]i Three"]),
        ("*One.\n\n*Two.*\n\nThree", 20, ["[One.]i", "", "[Two.]i", "", "Three"]),
        ("*One\n\nTwo\n\nThree*", 20, ["[One]i", "", "Two", "", "[Three]i"]),
        ("A *stray\n\nand more", 20, ["A [stray]i", "", "and more"]),
        ("one two three", 7, ["one two", "three"]),
        ("*one two* three", 5, ["[one]i", "[two]i", "three"]),
        ("- one two\n- three", 7, ["[• ]bone", "  two", "[• ]bthree"]),
        ("- a\n  more\n\nb", 20, ["[• ]ba", "  more", "", "b"]),
        ("  - in\n1. x", 20, ["  [• ]bin", "[1. ]bx"]),
        ("> a\n> b\n\nc", 20, ["[▎ ]b[a]q", "[▎ ]b[b]q", "", "c"]),
        ("```py\nx = *1*\n\n  y\n```\nz", 20, ["[x = *1*]c", "[]c", "[  y]c", "z"]),
        ("```\nopen", 20, ["[open]c"]),
        ("```\nlong code line\n```", 8, ["[long co…]c"]),
        ("# A\ntext", 20, ["[A]h", "text"]),
        ("a\n---\nb", 30, ["a", "[────────────────────────]b", "b"]),
        ("日本語テキスト", 6, ["日本語", "テキス", "ト"]),
    ],
)
def test_blocks(source: str, columns: int, wanted: list[str]) -> None:
    assert show(source, columns) == wanted


PIECES = [
    "word ", "two words", "\n", "\n\n", "*", "**", "***", "_", "`", "```", "```\n", "~~~\n", "# ", "## x\n", "- ",
    "1. ", "> ", "---\n", "“", "”", '"', "~~", "[a](b)", "\\", "漢字", "🙂", "e\u0301", "\u0301", "    ", "\t", "\r",
    "\x1b[31m", "=", "long" * 9,
]  # fmt: skip
sources = st.lists(st.sampled_from(PIECES), max_size=25).map("".join) | st.text(max_size=40)


def test_a_dash_that_begins_a_line_is_still_behind_its_word_when_more_comes() -> None:
    stream = Streaming(4, PALETTE)
    stream.append("rhubarbs-")
    assert stream.lines() == render("rhubarbs-", 4, PALETTE)
    stream.append("ruby")
    assert stream.lines() == render("rhubarbs-ruby", 4, PALETTE)


@settings(max_examples=400)
@given(sources, st.integers(1, 40), st.data())
def test_streaming_gives_the_lines_of_the_whole(source: str, columns: int, draw: st.DataObject) -> None:
    cuts = sorted(draw.draw(st.lists(st.integers(0, len(source)), max_size=5)))
    stream = Streaming(columns, PALETTE)
    for start, end in zip([0, *cuts], [*cuts, len(source)], strict=True):
        stream.append(source[start:end])
        assert stream.lines() == render(source[:end], columns, PALETTE)


@settings(max_examples=200)
@given(sources, st.integers(2, 40))
def test_every_line_fits_and_is_clean(source: str, columns: int) -> None:
    for line in render(source, columns, PALETTE):
        text = "".join(part for part, _ in line)
        assert width(text) <= columns
        assert not any(char < " " or "\x7f" <= char < "\xa0" for char in text)


def test_closed_blocks_are_the_same_objects_while_the_last_one_grows() -> None:
    """So that rows made of them can be kept."""
    stream = Streaming(40, PALETTE)
    stream.append("First *paragraph*.\n\nSecond")
    before = stream.lines()
    stream.append(" paragraph.\n\nThird")
    after = stream.lines()
    assert after[0] is before[0]
    assert [letters(line) for line in after] == [
        "First [paragraph]i.",
        "",
        "Second paragraph.",
        "",
        "Third",
    ]


def test_a_long_reply_streams_without_laying_out_what_is_done() -> None:
    """Ten times the text takes about ten times the work, not a hundred times."""
    laid: list[int] = []

    class Counting(Streaming):
        def _close(self) -> None:
            laid.append(len(self._open))
            super()._close()

    stream = Counting(60, PALETTE)
    for number in range(500):
        stream.append(f"Paragraph {number} with a few *words* in it.\n\n")
        stream.lines()
    assert sum(laid) == 500, "each paragraph is laid out for good once"


def test_the_palette_of_a_theme() -> None:
    theme = load_theme("petal")
    palette = Palette.of(theme)
    assert palette.text == theme["narrator"] == PLAIN
    assert palette.dialogue == theme["dialogue"]
    assert palette.bullet_glyph == "•"
    assert Palette.of(load_theme("petal", utf8=False)).bullet_glyph == "*"


HOSTILE = [
    "_word ",
    "_a",
    "**a ",
    "`a``b ",
    "[a](",
    "f**k ",
    '"a ',
    "* a* ",
    "~~a ",
    "# a" + " " * 40,
    "น้ำ",
]


@pytest.mark.parametrize("unit", HOSTILE)
def test_time_grows_as_the_text_does(unit: str) -> None:
    """Counted in steps of the interpreter, which no other process disturbs."""
    short, long = (
        steps_of(lambda n=n: render(unit * (n // len(unit)), 60, PALETTE)) for n in (2_000, 8_000)
    )
    assert long < 6 * short


def steps_of(work: Callable[[], object]) -> int:
    """Returns how many lines of Python ``work`` runs."""
    steps = 0

    def count(_frame: object, event: str, _argument: object) -> object:
        nonlocal steps
        steps += event == "line"
        return count

    before = sys.gettrace()
    sys.settrace(count)
    try:
        work()
    finally:
        sys.settrace(before)
    return steps

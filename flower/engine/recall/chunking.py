"""Cuts lore into passages: one thought each, with the path of headings it stood under. Pure.

Text is cut at headings, then packed paragraph by paragraph up to a token budget. A paragraph that is
too long is cut between sentences, a sentence that is too long between words, and only there do two
passages overlap.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

from flower import limits
from flower.engine.store.passages import Chunk
from flower.text import sentences_of

CHUNK_TOKENS = 160  # a paragraph or two: one thought per vector
CHUNK_OVERLAP_TOKENS = 24  # repeated only where a sentence itself had to be split

_HEADING = re.compile(r" {0,3}(#{1,6})[ \t]++(.*)")
_UNDERLINE = re.compile(r"^ {0,3}(=+|-{3,})[ \t]*$")
_FENCE = re.compile(r"^ {0,3}(```|~~~)")
_WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]|\w+|[^\w\s]")
_LETTERS_PER_PIECE = 6  # long words are cut into pieces by the tokenizer


def word_pieces(text: str) -> int:
    """Returns about how many pieces the embedding model reads of a text; never 0 for a text of words.

    What a language model reads is counted by ``engine.token_counter``.
    """
    return sum(1 + (len(word) - 1) // _LETTERS_PER_PIECE for word in _WORD.findall(text))


def chunk(text: str, title: str = "", *, budget: int = CHUNK_TOKENS) -> tuple[Chunk, ...]:
    """Returns the passages of a text of Markdown or plain paragraphs, in reading order.

    ``title`` opens every title path. Each passage has at most about ``budget`` tokens. Text under no heading
    at all is headed by its first line from the second passage on: the rest often does not say what it is about.
    """
    drafts = []
    for path, paragraphs in _sections(text):
        heading = " > ".join(part for part in (title, *path) if part)
        pieces = _pack(paragraphs, budget)
        below = heading or (_first_line(pieces[0]) if len(pieces) > 1 else "")
        drafts += [Chunk(below if place else heading, piece) for place, piece in enumerate(pieces)]
    return tuple(drafts)


def _first_line(text: str) -> str:
    """Returns the first line of a text, of a long one its beginning, cut at a word."""
    line = text.split("\n", 1)[0].strip()
    if len(line) <= limits.NAME_CHARS:
        return line
    return line[: limits.NAME_CHARS].rpartition(" ")[0] or line[: limits.NAME_CHARS]


def outline(value: object, level: int = 1) -> str:
    """Returns nested mappings and lists (a loaded YAML file) as text with headings, for ``chunk``."""
    if isinstance(value, Mapping):
        return "\n\n".join(_entry(str(key), item, level) for key, item in value.items())
    if isinstance(value, list | tuple):
        return "\n\n".join(outline(item, level) for item in value)
    return "" if value is None else str(value)


def _entry(key: str, value: object, level: int) -> str:
    if not isinstance(value, Mapping | list | tuple) and len(str(value)) < 60:
        return f"{key}: {'' if value is None else value}"
    return f"{'#' * min(level, 6)} {key}\n\n{outline(value, level + 1)}"


def _sections(text: str) -> Iterator[tuple[tuple[str, ...], list[str]]]:
    """Yields (path of headings, paragraphs) of every part between two headings that has text."""
    path: list[tuple[int, str]] = []
    lines: list[str] = []
    for level, line in _lines(text.replace("\r\n", "\n").replace("\r", "\n").replace("\0", "")):
        if not level:
            lines.append(line)
            continue
        if paragraphs := _paragraphs(lines):
            yield tuple(name for _, name in path), paragraphs
        lines = []
        path = [entry for entry in path if entry[0] < level]
        path.append((level, line))
    if paragraphs := _paragraphs(lines):
        yield tuple(name for _, name in path), paragraphs


def _lines(text: str) -> Iterator[tuple[int, str]]:
    """Yields (heading level or 0, line); headings inside fenced code are text."""
    fenced = False
    lines = text.split("\n")
    skip = False
    for index, line in enumerate(lines):
        if skip:
            skip = False
            continue
        following = lines[index + 1] if index + 1 < len(lines) else ""
        if _FENCE.match(line):
            fenced = not fenced
        elif not fenced and (heading := _HEADING.fullmatch(line)):
            yield len(heading[1]), heading[2].rstrip(" \t").rstrip("#").rstrip(" \t")
            continue
        elif not fenced and _is_underlined(lines, index) and (mark := _UNDERLINE.match(following)):
            yield 1 if mark[1][0] == "=" else 2, line.strip()
            skip = True
            continue
        yield 0, line


def _is_underlined(lines: Sequence[str], index: int) -> bool:
    """Returns whether a line may be a heading underlined by the next: short, first of its paragraph."""
    line = lines[index].strip()
    return bool(line) and len(line) <= limits.NAME_CHARS and not (index and lines[index - 1].strip())


def _paragraphs(lines: Sequence[str]) -> list[str]:
    blocks = re.split(r"\n[ \t]*\n", "\n".join(line.rstrip() for line in lines))
    return [block.strip("\n").strip() for block in blocks if block.strip()]


def _pack(paragraphs: Sequence[str], budget: int) -> list[str]:
    """Returns paragraphs joined up to the budget; longer ones are cut into sentences first."""
    units = [unit for paragraph in paragraphs for unit in _fit(paragraph, budget)]
    return _join(units, budget, "\n\n")


def _fit(paragraph: str, budget: int) -> list[str]:
    if word_pieces(paragraph) <= budget:
        return [paragraph]
    sentences: list[str] = []
    for sentence in sentences_of(paragraph):
        if word_pieces(sentence) <= budget:
            sentences.append(sentence)
        else:
            sentences += _windows(sentence, budget)
    return _join((sentence for sentence in sentences if sentence.strip()), budget, " ")


def _join(units: Iterable[str], budget: int, glue: str) -> list[str]:
    joined: list[str] = []
    room = 0
    for unit in units:
        tokens = word_pieces(unit)
        if joined and tokens <= room:
            joined[-1] += glue + unit
            room -= tokens
        else:
            joined.append(unit)
            room = budget - tokens
    return joined


def _windows(sentence: str, budget: int) -> list[str]:
    """Returns overlapping windows over the tokens of a sentence that is too long by itself."""
    starts = [0]  # where a window may begin or end: characters in front of each token
    for match in _WORD.finditer(sentence):
        pieces = 1 + (len(match.group()) - 1) // _LETTERS_PER_PIECE
        starts += [match.start() + _LETTERS_PER_PIECE * piece for piece in range(pieces)]
    starts[0:2] = [0]
    starts.append(len(sentence))
    step = max(1, budget - min(CHUNK_OVERLAP_TOKENS, budget // 2))
    windows = []
    for first in range(0, len(starts) - 1, step):
        last = min(first + budget, len(starts) - 1)
        windows.append(sentence[starts[first] : starts[last]].strip())
        if last == len(starts) - 1:
            break
    return windows

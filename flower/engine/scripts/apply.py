"""Carries scripts out on texts, within a time and a length. Pure: the clock is an argument.

A pattern means what it means in a browser (``lorebook.javascript``), and a replacement what it means in
SillyTavern: ``$1`` and ``$<name>`` are groups, ``{{match}}`` and ``$0`` the whole find. Macros are expanded in
what the script's author wrote alone: nothing that a model or a player wrote can become one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from msgspec import Struct

from flower import limits
from flower.engine.lorebook.javascript import PatternError, translate
from flower.engine.lorebook.matching import Stopwatch
from flower.engine.scripts.script import Macros, Script, ScriptPlace, When

if TYPE_CHECKING:
    import regex

__all__ = ["Runner", "ScriptResult", "ScriptText", "problem_of"]

Expand = Callable[[str], str]

PATTERNS_KEPT = 500
RESULTS_KEPT = 4_000  # texts, for which nothing is done again
KEPT_CHARS = 20_000_000  # in them

_FLAGS = frozenset("gmixXsuUAJy")  # that are taken for flags at all
_NO_FLAGS = frozenset("xXUAJ")  # and that no browser knows
_GROUP = re.compile(r"\$(\d{1,6})|\$<([^>]{1,100})>")
_MATCH = re.compile(r"\{\{match\}\}", re.IGNORECASE)
_MACRO = re.compile(r"\{\{[^{}]{1,400}\}\}|<(?:user|bot|char|group)>", re.IGNORECASE)
_SIGNS = {**{sign: f"\\{sign}" for sign in "^$\\.*+?()[]{}|/"},
          "\n": "\\n", "\r": "\\r", "\t": "\\t", "\v": "\\v", "\f": "\\f", "\0": "\\0"}  # fmt: skip


class ScriptText(Struct, frozen=True):
    """A text to be changed; ``depth`` and ``raw`` as in ``Script.holds``."""

    text: str
    place: ScriptPlace
    depth: int | None = None
    raw: bool = True


class ScriptResult(Struct, frozen=True):
    """Texts as scripts leave them; ``acted``: how many texts each script changed, by its name.

    ``trouble``: names of scripts that took too long or made too much; their texts are as without them.
    """

    texts: tuple[str, ...]
    acted: dict[str, int] = {}
    trouble: tuple[str, ...] = ()


class _Compiled(Struct, frozen=True):
    pattern: regex.Pattern[str]
    names: Mapping[str, str]  # of its groups, as the source and as the pattern has them
    everywhere: bool  # else only the first find counts
    sticky: bool


class Runner:
    """Carries scripts out, and remembers patterns and texts. ``clock`` gives seconds."""

    def __init__(self, clock: Callable[[], float] | None = None) -> None:
        self._clock = clock
        self._patterns: dict[str, _Compiled | None] = {}
        self._results: dict[tuple[tuple[Script, ...], str, str], tuple[str, tuple[str, ...]]] = {}
        self._size = 0

    def run(
        self,
        scripts: Sequence[Script],
        texts: Sequence[ScriptText],
        when: When,
        expand: Expand,
        key: str = "",
    ) -> ScriptResult:
        """Returns ``texts`` changed by ``scripts``, one after the other.

        ``expand`` expands macros; ``key`` is another one whenever it would say something else.
        """
        stopwatch = Stopwatch(self._clock)
        acted: dict[str, int] = {}
        trouble: dict[str, None] = {}
        results = []
        for one in texts:
            holding = tuple(s for s in scripts if s.holds(one.place, when, one.depth, raw=one.raw))
            if not holding or not one.text:
                results.append(one.text)
                continue
            text, names, late = self._one(holding, one.text, expand, key, stopwatch)
            for name in names:
                acted[name] = acted.get(name, 0) + 1
            trouble |= dict.fromkeys(late)
            results.append(text)
        return ScriptResult(tuple(results), acted, tuple(trouble))

    def _one(
        self, scripts: tuple[Script, ...], text: str, expand: Expand, key: str, stopwatch: Stopwatch
    ) -> tuple[str, tuple[str, ...], tuple[str, ...]]:
        result = self._results.get((scripts, text, key))
        if result is not None:
            return *result, ()
        now, acted, late = text, [], []
        for script in scripts:
            try:
                changed = self._carried_out(script, now, expand, stopwatch)
            except (TimeoutError, _TooLong):
                late.append(script.name)
                continue
            if changed != now:
                acted.append(script.name)
                now = changed
        if not late:  # else there may be time the next time
            self._keep((scripts, text, key), (now, tuple(acted)))
        return now, tuple(acted), tuple(late)

    def _keep(
        self, key: tuple[tuple[Script, ...], str, str], result: tuple[str, tuple[str, ...]]
    ) -> None:
        self._results[key] = result
        self._size += len(key[1]) + len(result[0])
        while len(self._results) > RESULTS_KEPT or self._size > KEPT_CHARS:
            oldest = next(iter(self._results))
            self._size -= len(oldest[1]) + len(self._results.pop(oldest)[0])

    def _carried_out(self, script: Script, text: str, expand: Expand, stopwatch: Stopwatch) -> str:
        compiled = self._compiled(_pattern_of(script, expand))
        if compiled is None:
            return text
        seconds = stopwatch.seconds_left()
        if seconds <= 0:
            raise TimeoutError
        put_in = _put_in(script, compiled.names, expand)
        if compiled.sticky:
            match = compiled.pattern.match(text, timeout=seconds)
            return text if match is None else put_in(match) + text[match.end() :]
        most = 0 if compiled.everywhere else 1
        changed: str = compiled.pattern.sub(put_in, text, count=most, timeout=seconds)
        return changed

    def _compiled(self, source: str) -> _Compiled | None:
        if source not in self._patterns:
            try:
                self._patterns[source] = _compile(source)
            except PatternError:
                self._patterns[source] = None
            while len(self._patterns) > PATTERNS_KEPT:
                del self._patterns[next(iter(self._patterns))]
        return self._patterns[source]


class _TooLong(Exception):  # noqa: N818  # tells the runner, nobody else
    """A replacement made more text than a message may have."""


def problem_of(script: Script) -> str:
    """Returns why a script can do nothing, in a few words; "" for one that can."""
    if not script.places:
        return "it is for nothing that Flower has"
    try:
        _compile(script.pattern)
    except PatternError as error:
        return f"its pattern cannot be read: {error}"
    return ""


def _compile(source: str) -> _Compiled:
    """Raises ``PatternError``."""
    if not source:
        raise PatternError("it is empty")
    import regex  # here, as few stories have scripts

    pattern, flags = _split(source)
    try:
        translated = translate(pattern, flags.replace("g", ""))
        compiled = regex.compile(translated.pattern, cache_pattern=False)
    except (regex.error, RecursionError, OverflowError, MemoryError, ValueError) as error:
        raise PatternError(str(error)) from error
    return _Compiled(compiled, translated.names, "g" in flags, "y" in flags)


def _split(source: str) -> tuple[str, str]:
    """Returns pattern and flags; without slashes around it the whole is the pattern. Raises ``PatternError``."""
    end = source.rfind("/")
    if not source.startswith("/") or end < 2:
        return source, ""
    flags = "".join(_letters(source[end + 1 :]))
    if len(set(flags)) != len(flags) or not set(flags) <= _FLAGS:
        return source, ""
    if set(flags) & _NO_FLAGS:
        raise PatternError("flags that JavaScript does not know")
    return source[1:end], flags


def _letters(text: str) -> list[str]:
    """Returns the letters at the start of ``text``."""
    letters = []
    for sign in text:
        if not (sign.isascii() and sign.isalpha()):
            break
        letters.append(sign)
    return letters


def _pattern_of(script: Script, expand: Expand) -> str:
    if script.macros is Macros.PUT_IN:
        return expand(script.pattern)
    if script.macros is Macros.ESCAPED:
        return _MACRO.sub(lambda match: _escaped(match[0], expand), script.pattern)
    return script.pattern


def _escaped(macro: str, expand: Expand) -> str:
    value = expand(macro)
    return macro if value == macro else "".join(_SIGNS.get(sign, sign) for sign in value)


def _put_in(
    script: Script, names: Mapping[str, str], expand: Expand
) -> Callable[[regex.Match[str]], str]:
    """Returns what makes the text that a find is replaced with."""
    parts = [
        part if isinstance(part, str) else _Group(names.get(part.name, part.name))
        for part in _parts(script.replacement, expand)
    ]
    trims = [trim for one in script.trims if (trim := expand(one))]
    room = limits.REPLY_CHARS

    def put_in(match: regex.Match[str]) -> str:
        nonlocal room
        text = "".join(
            part if isinstance(part, str) else _group(match, part.name, trims) for part in parts
        )
        room -= len(text)
        if room < 0:
            raise _TooLong
        return text

    return put_in


class _Group(Struct, frozen=True):
    name: str  # or number


def _parts(replacement: str, expand: Expand) -> list[str | _Group]:
    """Returns the fixed texts of a replacement, macros expanded, and the groups between them."""
    text = _MATCH.sub("$0", replacement)
    groups = [_Group(match[1] or match[2]) for match in _GROUP.finditer(text)]
    if not groups:
        return [expand(text)]
    # A macro may stand around a group, so the groups are marks while macros are expanded.
    marked = _GROUP.sub("\x00", text.replace("\x00", ""))
    pieces = expand(marked).split("\x00")
    if len(pieces) != len(groups) + 1:  # a macro has taken one, or repeated one
        pieces = marked.split("\x00")
    parts: list[str | _Group] = [pieces[0]]
    for group, piece in zip(groups, pieces[1:], strict=True):
        parts += [group, piece]
    return parts


def _group(match: regex.Match[str], name: str, trims: Sequence[str]) -> str:
    try:
        text = match[int(name)] if name.isdecimal() else match[name]
    except IndexError:
        return ""
    for trim in trims:
        text = (text or "").replace(trim, "")
    return text or ""

"""Every regular expression of the package takes time in proportion to its text.

Python's ``re`` has no time limit and holds the interpreter, so one pattern that backtracks lets one line of
a story stop the engine. Each pattern is tried as it is used (its methods are read off the source), on texts
made of its own pieces: what leads up to each of its repetitions, then that repetition's body many times, then
something that fails. Patterns that only ever meet short texts stand in ``BOUNDED`` with the bound.
"""

from __future__ import annotations

import ast
import importlib
import re
import time
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from re import _constants as sre  # type: ignore[attr-defined]
from re import _parser  # type: ignore[attr-defined]
from typing import Any, NamedTuple

import pytest

import flower
from tests.sources import PACKAGE, modules, parsed, text_of

METHODS = ("search", "match", "fullmatch", "findall", "finditer", "sub", "subn", "split")
TINY = 24  # characters: what is exponential must not be tried with more
SIZE = 500
SUSPICIOUS_S = 0.0002  # a linear pattern reads so many in a third of this
HOPELESS_S = 0.02
GROWTH = 9.0  # four times the text may take this many times as long; quadratic is 16

# Patterns whose texts are short by construction: module -> pattern's beginning -> what bounds it.
BOUNDED: dict[str, dict[str, str]] = {
    "engine.provider.error_body": {r"(\d+(?:\.\d+)?)(ms": "DURATION_CHARS"},
}


class Use(NamedTuple):
    """A pattern as a module uses it."""

    module: str
    line: int
    pattern: str | bytes
    flags: int
    methods: frozenset[str]

    def __str__(self) -> str:
        return f"{self.module.removeprefix('flower.')}:{self.line}"


class Names(dict[str, Any]):
    """A module's names; a local one, which only a running function has, is a word."""

    def __missing__(self, name: str) -> str:
        if name == "__builtins__":
            raise KeyError(name)
        return "name"


def uses_in(path: Path) -> Iterator[Use]:
    """Yields the patterns of one module, as far as its source spells them out."""
    module = ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__")
    if not re.search(r"\bre\.", text_of(path)):
        return
    tree = parsed(text_of(path))
    calls = [node for node in ast.walk(tree) if is_re_call(node)]
    if not calls:
        return
    loaded = importlib.import_module(module)
    names = Names(vars(loaded))
    bound = {
        id(node.value): target.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    for call in calls:
        method = call.func.attr
        pattern = value_of(call.args[0], names)
        if isinstance(pattern, re.Pattern) or pattern is None:
            continue
        flag_nodes = [key.value for key in call.keywords if key.arg == "flags"]
        if method in ("compile", "search", "match", "fullmatch", "findall", "finditer"):
            flag_nodes += call.args[1 if method == "compile" else 2 :]
        flags = value_of(flag_nodes[0], names) if flag_nodes else 0
        methods = frozenset([method]) if method != "compile" else methods_of(bound.get(id(call)), path)
        yield Use(module, call.lineno, pattern, int(flags or 0), methods)


def is_re_call(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and isinstance(node.func.value, ast.Name)
        and node.func.value.id == "re"
        and node.func.attr in (*METHODS, "compile")
    )


def value_of(node: ast.expr, names: Names) -> Any:
    expression = ast.fix_missing_locations(ast.Expression(node))
    try:
        return eval(
            compile(expression, "<pattern>", "eval"), {"re": re, "limits": flower.limits}, names
        )
    except (AttributeError, NameError, TypeError, re.error):
        return None  # built of what only a running function has


def methods_of(name: str | None, path: Path) -> frozenset[str]:
    """Returns how a compiled pattern of a module is used; every way where its name does not tell."""
    if name is None:
        return frozenset(METHODS)
    places = [path] if name.startswith("_") else modules()
    return frozenset().union(*(methods_by_name(one).get(name, ()) for one in places)) or frozenset(
        METHODS
    )


@cache
def methods_by_name(path: Path) -> dict[str, set[str]]:
    """Returns the methods of patterns that a module calls, by the name of what they are called on."""
    calls: dict[str, set[str]] = {}
    for name, method in re.findall(rf"\b(\w+)\.({'|'.join(METHODS)})\b", text_of(path)):
        calls.setdefault(name, set()).add(method)
    return calls


USES = [use for path in modules() for use in uses_in(path)]


# --- texts made of a pattern's own pieces ---------------------------------------------------------


def sample(items: Any) -> str:
    """Returns a short text that these items of a parsed pattern match, lookarounds aside."""
    return "".join(sample_one(op, value) for op, value in items)


def sample_one(op: Any, value: Any) -> str:
    if op is sre.LITERAL:
        return chr(value)
    if op is sre.NOT_LITERAL:
        return "a" if value != ord("a") else "b"
    if op is sre.ANY:
        return "a"
    if op is sre.IN:
        return member(value)
    if op is sre.BRANCH:
        return sample(value[1][0])
    if op is sre.SUBPATTERN:
        return sample(value[3])
    if op is getattr(sre, "ATOMIC_GROUP", None):
        return sample(value)
    if op in REPEATS:
        return sample(value[2]) * max(value[0], 1)
    return ""


REPEATS = (sre.MAX_REPEAT, sre.MIN_REPEAT, getattr(sre, "POSSESSIVE_REPEAT", None))
CANDIDATES = " a0#-*_.!\n\t\"'`~/<>[](){}:=,+\u3042\u00e9;&|%$@^\\"


def member(items: Any) -> str:
    """Returns a character of a class."""
    pattern = re.compile(class_text(items))
    return next((char for char in CANDIDATES if pattern.fullmatch(char)), "a")


def class_text(items: Any) -> str:
    parts = []
    for op, value in items:
        if op is sre.NEGATE:
            parts.append("^")
        elif op is sre.LITERAL:
            parts.append(re.escape(chr(value)))
        elif op is sre.RANGE:
            parts.append(f"{re.escape(chr(value[0]))}-{re.escape(chr(value[1]))}")
        elif op is sre.CATEGORY:
            parts.append(CATEGORIES[value])
    return f"[{''.join(parts)}]"


CATEGORIES = {
    sre.CATEGORY_DIGIT: r"\d", sre.CATEGORY_NOT_DIGIT: r"\D", sre.CATEGORY_SPACE: r"\s",
    sre.CATEGORY_NOT_SPACE: r"\S", sre.CATEGORY_WORD: r"\w", sre.CATEGORY_NOT_WORD: r"\W",
}  # fmt: skip


def attacks(items: Any, before: str = "") -> Iterator[tuple[str, str]]:
    """Yields pairs: what leads up to a repetition without an end, and one round of it."""
    for op, value in items:
        if op in REPEATS:
            if value[1] is sre.MAXREPEAT or value[1] > 1_000:
                yield from ((before, piece) for piece in pieces(value[2]))
            yield from attacks(value[2], before)
        elif op is sre.SUBPATTERN:
            yield from attacks(value[3], before)
        elif op is getattr(sre, "ATOMIC_GROUP", None):
            yield from attacks(value, before)
        elif op is sre.BRANCH:
            for branch in value[1]:
                yield from attacks(branch, before)
        before += sample_one(op, value)


def pieces(items: Any) -> list[str]:
    """Returns texts that a repetition's body matches: blanks, letters, marks, whichever it takes."""
    found = {sample(items)}
    if len(items) == 1 and items[0][0] in (sre.IN, sre.ANY, sre.NOT_LITERAL):
        op, value = items[0]
        pattern = re.compile(
            class_text(value)
            if op is sre.IN
            else "."
            if op is sre.ANY
            else f"[^{re.escape(chr(value))}]"
        )
        found |= {char for char in " a0#-*\n" if pattern.fullmatch(char)}
    return sorted(piece for piece in found if piece)


def texts_for(use: Use) -> list[Callable[[int], str]]:
    """Returns makers of texts of about a size, each once."""
    pattern = use.pattern.decode("latin-1") if isinstance(use.pattern, bytes) else use.pattern
    parsed = _parser.parse(pattern, use.flags & ~re.LOCALE)
    pairs = dict.fromkeys(attacks(parsed))
    whole = sample(parsed)
    makers: list[Callable[[int], str]] = []
    for before, piece in pairs:
        makers += [
            lambda n, b=before, p=piece, a=after: b + p * (n // len(p)) + a
            for after in ("", "\0", " b", "\n\n")
        ]
        unit = before + piece
        makers.append(lambda n, u=unit: u * (n // len(u)))
        makers.append(lambda n, u=before, p=piece: (u or p) * (n // len(u or p)))
    for other in {piece for _, piece in pairs}:
        makers += [lambda n, p=piece, o=other: (p + o) * (n // (len(p) + len(o))) for _, piece in pairs]
    if whole:
        makers.append(lambda n: whole * (n // len(whole)))
    return makers


def runner(use: Use, method: str) -> Callable[[str], object]:
    compiled = re.compile(use.pattern, use.flags)

    def run(text: str) -> object:
        subject = text.encode("utf-8") if isinstance(use.pattern, bytes) else text
        if method in ("sub", "subn"):
            return getattr(compiled, method)(subject[:0], subject)
        found = getattr(compiled, method)(subject)
        return list(found) if method == "finditer" else found

    return run


def seconds(run: Callable[[str], object], text: str, tries: int = 3) -> float:
    """Returns the shortest of some times: the machine's noise only ever adds."""
    best = float("inf")
    for _ in range(tries):
        begun = time.thread_time()
        run(text)
        best = min(best, time.thread_time() - begun)
        if best > 0.2:
            break
    return best


def is_hopeless(run: Callable[[str], object], text: str) -> bool:
    """Whether a text takes far too long three times in a row: a busy machine may once."""
    return all(seconds(run, text, 1) >= HOPELESS_S for _ in range(3))


def is_bounded(use: Use) -> bool:
    text = use.pattern if isinstance(use.pattern, str) else use.pattern.decode("latin-1")
    known = BOUNDED.get(use.module.removeprefix("flower."), {})
    return any(text.startswith(beginning) for beginning in known)


def test_patterns_are_found() -> None:
    """The check below sees what there is: over a hundred patterns, and every one it names."""
    assert len(USES) > 100
    for module, beginnings in BOUNDED.items():
        for beginning in beginnings:
            assert any(
                use.module == f"flower.{module}" and str(use.pattern).startswith(beginning)
                for use in USES
            ), f"{module}: no pattern begins with {beginning!r} any more"


@pytest.mark.parametrize("use", [use for use in USES if not is_bounded(use)], ids=str)
def test_patterns_are_linear(use: Use) -> None:
    """A text that takes suspiciously long is tried at four times its size, and again at sixteen."""
    for method in sorted(use.methods):
        run = runner(use, method)
        for make in texts_for(use):
            what = f"{use.pattern!r} {method} of {make(40)!r}"
            for size in (TINY, SIZE // 4, SIZE):
                assert not is_hopeless(run, make(size)), f"{what}: many times as long at {size}"
            small = seconds(run, make(SIZE))
            if small < SUSPICIOUS_S:
                continue
            middle = seconds(run, make(4 * SIZE))
            assert middle / small < GROWTH, f"{what}: {middle / small:.0f} times as long"
            large = seconds(run, make(16 * SIZE))
            assert large / middle < GROWTH, f"{what}: {large / middle:.0f} times as long"


def test_the_check_sees_what_backtracks() -> None:
    """Known offenders are found, in the ways they are used."""
    for pattern, method in (
        (r"#[ \t]+(.*?)[ \t]*#*[ \t]*$", "match"),
        (r"\s+$", "search"),
        (r"(a+)+b", "match"),
        (r".+?[.!?](?=\s|$)", "search"),
        (r"\*(.+?)\*x", "sub"),
    ):
        use = Use("flower.x", 1, pattern, 0, frozenset([method]))
        with pytest.raises(AssertionError, match="times as long"):
            test_patterns_are_linear(use)

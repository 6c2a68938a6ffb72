"""Foreign text on its way out: every place that writes to a terminal, a stream or a log passes it through one guard.

The places are found in the source, so that a new one that writes a name, a tag or an error as it came fails here.
"""

from __future__ import annotations

import ast
import logging
from collections.abc import Iterator

import pytest

from flower.engine.logs import RedactingFormatter
from flower.errors import printable, printable_line
from tests.sources import modules, name_of, tree_of

GUARDS = {
    "printable",
    "printable_line",
    "_sentence",
    "clean",
}  # ``clean`` is the screens' own, and stricter
NUMBERS = {
    "len",
    "_size",
    "_after_bar",
    "int",
    "counted",
    "_day",
    "_until",
}  # and words of ours with them
# Our own words or numbers under a name: (module, what is written) -> why nobody else's text is in it.
OURS = {
    ("cli.py", "_journal_mark()"): "<3> or nothing",
    ("cli.py", "see"): "the name of a command of ours",
    ("tui/plain.py", "text"): "each part was cleaned where the line was made, see test_plain",
    ("engine/admin/export_cli.py", "piece"): "the story itself, cleaned when it was stored, see test_export",
    ("engine/admin/home_cli.py", "WHERE_MODELS_ARE"): "a constant",
    ("engine/admin/home_cli.py", "fetched.size_bytes / 1000000000.0"): "a number",
    ("shell/engine_control.py", "pid"): "a number",
    ("engine/provider/llamacpp/child.py", "server.listening_address.rpartition(':')[2]"): "a port, into a pipe",
    ("client/export_fetch.py", "size"): "a count",
    ("client/shell_upload.py", "bar"): "# and .",
    ("client/shell_upload.py", "new"): "a count",
    ("client/shell_upload.py", "updated"): "a count",
    ("client/shell_upload.py", "here"): "a count",
    ("client/shell_upload.py", "failed"): "a count",
    ("client/shell_upload.py", "done"): "a count",
    ("client/shell_upload.py", "total"): "a count",
    ("client/shell_upload.py", "files"): "a count and a word",
    ("client/shell_upload.py", "len(summary.notices) - NOTICES_SHOWN"): "a count",
    ("installer/pip.py", "seconds"): "a number",
    ("engine/admin/transfer.py", "counted"): "counts and words",
    ("engine/admin/home_cli.py", "ELSEWHERE"): "a constant",
    ("engine/sessions/turn_outcome.py", "db"): "a function that changes the database",
    ("shell/reload.py", "code"): "an exit code",
}  # fmt: skip
HOSTILE = "a\x1b]0;owned\x07b\x9b2J\u202ec\nflower: all is well\x00"


def sinks(tree: ast.Module) -> Iterator[ast.Call]:
    """Yields the calls that write to a terminal, a stream or, in ``doctor``, to whoever asked."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        called = ast.unparse(node.func)
        streams = (
            "sys.stderr.write",
            "sys.stdout.write",
            "sys.stdout.buffer.write",
            "self.out.write",
            "click.echo",
            "print",
            "write",
        )
        if called in streams and node.args and not (called == "write" and len(node.args) != 1):
            yield node


def unguarded(node: ast.expr) -> Iterator[str]:
    """Yields what is written as it came, as source."""
    match node:
        case ast.Constant():
            return
        case ast.JoinedStr(values=parts):
            for part in parts:
                yield from unguarded(part)
        case ast.FormattedValue(value=value):
            yield from unguarded(value)
        case ast.IfExp(body=one, orelse=other):
            yield from unguarded(one)
            yield from unguarded(other)
        case ast.BoolOp(values=values):
            for value in values:
                yield from unguarded(value)
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            yield from unguarded(left)
            yield from unguarded(right)
        case ast.Call(func=ast.Attribute(value=inner, attr="strip")):
            yield from unguarded(inner)
        case ast.Subscript(value=inner, slice=ast.Slice()):
            yield from unguarded(inner)
        case ast.Call(func=ast.Name(id="as_typed"), args=[inner]):
            yield from unguarded(inner)
        case ast.Call(func=ast.Name(id=name)) if name in GUARDS | NUMBERS:
            return
        case _:
            yield ast.unparse(node)


def written_as_it_came() -> set[tuple[str, str]]:
    found = set()
    for path in modules():
        for call in sinks(tree_of(path)):
            found |= {(name_of(path), text) for argument in call.args for text in unguarded(argument)}
    return found


def test_every_place_that_writes_guards_what_is_not_ours() -> None:
    found = written_as_it_came()
    assert not found - OURS.keys(), "pass it through flower.errors.printable, or say why it is ours"
    assert not OURS.keys() - found, "no longer written there"


def test_the_search_finds_places_and_what_they_write() -> None:
    source = 'print(f"no file {path}", file=sys.stderr)\nsys.stderr.write(str(error))\nprint(printable(name), 3)\n'
    found = [text for call in sinks(ast.parse(source)) for one in call.args for text in unguarded(one)]
    assert found == ["path", "str(error)"]


@pytest.mark.parametrize("guard", [printable, printable_line])
def test_nothing_that_a_terminal_obeys_passes(guard: object) -> None:
    assert callable(guard)
    text = guard(HOSTILE)
    assert text.replace("\n", "").isprintable()
    assert text.startswith("a\ufffd]0;owned\ufffdb")
    assert guard("Ein Löffel 茶 🌷") == "Ein Löffel 茶 🌷"


def test_a_line_of_a_guarded_line_is_one_line() -> None:
    assert "\n" not in printable_line(HOSTILE)
    assert "\n" in printable(HOSTILE)


@pytest.mark.parametrize("journal", [False, True])
def test_the_log_says_foreign_text_in_one_line_and_without_escapes(journal: bool) -> None:
    """Exceptions included: their traceback keeps its lines."""
    form = RedactingFormatter([], journal=journal)
    try:
        raise ValueError(HOSTILE)
    except ValueError as error:
        caught = error
    record = logging.LogRecord(
        "flower",
        logging.ERROR,
        "x.py",
        1,
        "cannot read %s",
        (HOSTILE,),
        (ValueError, caught, caught.__traceback__),
    )
    lines = form.format(record).split("\n")
    assert all(line.isprintable() for line in lines)
    assert "flower: all is well" in lines[0]
    assert any("Traceback" in line for line in lines)

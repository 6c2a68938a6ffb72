"""YAML from strangers: JSON's values come out, everything dangerous is refused quickly."""

from __future__ import annotations

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flower import limits
from flower.errors import YamlError
from flower.settings import safe_yaml
from flower.settings.safe_yaml import YAML_DEPTH, YAML_NODES, load

MERGE_DOUBLING = b"a0: &a0 {k: v}\n" + b"".join(
    b"a%d: &a%d {<<: [*a%d, *a%d]}\n" % (n, n, n - 1, n - 1) for n in range(1, 25)
)
LAUGHS = b"a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + b"".join(
    b"a%d: &a%d [*a%d, *a%d, *a%d, *a%d, *a%d, *a%d, *a%d, *a%d, *a%d]\n" % (n, n, *[n - 1] * 9)
    for n in range(1, 9)
)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", None),
        ("# only a comment\n", None),
        ("~", None),
        ("a:\n", {"a": None}),
        ("[null, Null, true, False]", [None, None, True, False]),
        ("[no, yes, on, off, y]", ["no", "yes", "on", "off", "y"]),
        ("[12:30, 12:30:00, 1_000, 0755, 0x1F, .5, +5, 1., .inf, .nan]",
         ["12:30", "12:30:00", "1_000", "0755", "0x1F", ".5", "+5", "1.", ".inf", ".nan"]),
        ("[1, -3, 0, 2.5, -1e3, 1E-2]", [1, -3, 0, 2.5, -1000.0, 0.01]),
        ("[2026-11-22, 1.2.3]", ["2026-11-22", "1.2.3"]),
        ("'12'", "12"),
        ('"true"', "true"),
        ("{5: a, true: b, ~: c}", {"5": "a", "true": "b", "~": "c"}),
        ("<<: {a: 1}", {"<<": {"a": 1}}),
        ("lore: |\n  # One\n\n  two\n", {"lore": "# One\n\ntwo\n"}),
        ("\ufeffa: 1", {"a": 1}),
        ("a: 'Zażółć 日本 🌸'", {"a": "Zażółć 日本 🌸"}),
    ],
)  # fmt: skip
def test_values_are_those_of_json(text: str, value: object) -> None:
    """Only null, true, false and JSON's numbers are more than text; keys are always text."""
    result = load(text.encode()).value
    assert result == value
    assert repr(result) == repr(value)  # 1 is not True, 1.0 is not 1


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        (b"a: 1\nb: *x\n", 2, "aliases"),
        (b"a: 1\na: 2\n", 2, "'a' is here twice, first on line 1"),
        (b"a: {b: 1, b: 2}", 1, "twice"),
        (b"a: 1\n--- \nb: 2\n", 2, "second document"),
        (b"a: !!python/object/apply:os.system [ls]", 1, "tags"),
        (b"a:\n  - !x 1", 2, "tags"),
        (b"? [a, b]\n: 1\n", 1, "a key must be plain text"),
        (b"a: 1\nb: \xff\xfe\n", 2, "UTF-8"),
        (b'a: "\\e]0;x\\a"', 1, "U+001B"),
        (b'a: 1\nb: "\\x9b31m"', 2, "U+009B"),
        (b"a: 1\nb: \x01", 2, "U+0001"),
        (b"a: [1, 2\nb: 3", 2, "broken YAML"),
        (b"a: 1\n b: 2", 2, "broken YAML"),
        (b"a: 1\n\tb: 2", 2, "broken YAML"),
        (b"a: 'open", 1, "broken YAML"),
        (b'a: 1\nb:\n  - {name: "x\n', 3, "broken YAML"),
        (b"a: " + b"9" * 5000, 1, "5000 digits"),
        (b"a: 1e999", 1, "out of range"),
        (b"%YAML 9.9\n---\na: 1", 1, "YAML"),
    ],
)
def test_what_is_refused_is_named_with_its_line(text: bytes, line: int, says: str) -> None:
    with pytest.raises(YamlError) as caught:
        load(text)
    assert caught.value.line == line
    assert says in caught.value.message
    assert str(caught.value).startswith(f"line {line}: ")


@pytest.mark.parametrize(
    "text",
    [
        b"[" * 30_000,
        b"[" * 100_000 + b"]" * 100_000,
        b"{a: " * 100_000,
        b"- " * 100_000,
        LAUGHS,
        MERGE_DOUBLING,
        b"[" + b"1," * 500_000 + b"]",
        b"x: y\n" * 200_000,
        b"a" * (limits.YAML_BYTES + 1),
        b"&" * 500_000,
        b"? " * 100_000,
    ],
    ids=[
        "open",
        "nested",
        "maps",
        "items",
        "laughs",
        "merge",
        "list",
        "keys",
        "big",
        "anchors",
        "keys?",
    ],
)
def test_hostile_files_are_refused_quickly(text: bytes) -> None:
    """Files that crash or hang PyYAML's own loaders cost a fraction of a second here."""

    def seconds() -> float:
        begun = time.process_time()
        with pytest.raises(YamlError):
            load(text)
        return time.process_time() - begun

    # A few ms alone. The better of two: the first may pay for collecting what other tests have left.
    assert min(seconds(), seconds()) < 1.0


def test_depth_and_size_up_to_the_limits_are_fine() -> None:
    depth = YAML_DEPTH
    assert load(b"[" * depth + b"]" * depth).value
    with pytest.raises(YamlError, match="nested deeper"):
        load(b"[" * (depth + 1) + b"]" * (depth + 1))
    items = YAML_NODES - 1
    assert load(b"[" + b"1," * items + b"]").value == [1] * items


def test_lines_are_known_by_path() -> None:
    """A key's line is where the key stands, an item's where the item begins."""
    text = b"name: x\nlore: |\n  a\n  b\nengine:\n  port: 1\nrules:\n  - id: a\n\n  - id: b\n"
    lines = load(text).lines
    assert lines[("name",)] == 1
    assert lines[("lore",)] == 2
    assert lines[("engine", "port")] == 6
    assert lines[("rules", 1)] == 10
    assert lines[("rules", 1, "id")] == 10


_text = st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"], exclude_characters="\ufeff"))
_json = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**17), 10**17)
    | st.floats(allow_nan=False, allow_infinity=False)
    | _text,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_text, inner, max_size=4),
    max_leaves=20,
)


@given(_json)
def test_json_is_read_as_json(value: object) -> None:
    assert load(json.dumps(value, ensure_ascii=False).encode()).value == value


@given(st.binary() | st.text("ab:-? \n\t[]{}&*!|>'\"%@`#,0179.e~<\x00\x85é🌸").map(str.encode))
def test_any_bytes_give_a_document_or_a_yaml_error(data: bytes) -> None:
    try:
        document = load(data)
    except YamlError as error:
        assert 1 <= error.line <= data.count(b"\n") + data.count(b"\x85") + 2  # noqa: PT017
    else:
        assert () in document.lines or document.value is None


def test_the_python_parser_gives_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """Some builds of PyYAML have no C parser; values, lines and refusals stay the same."""
    import yaml

    monkeypatch.setattr(safe_yaml, "_LOADER", yaml.SafeLoader)
    assert load(b"a: [1, no, ~]\nb: |\n  x\n").value == {"a": [1, "no", None], "b": "x\n"}
    for bad in (b"a: *x", b"[" * 1000, b"a: \x01", b"a: [1", b'a: "\\ud800"', MERGE_DOUBLING):
        with pytest.raises(YamlError):
            load(bad)

"""A program changes one setting of config.yaml and nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import flower
from flower.errors import ConfigError
from flower.settings import descriptions, edit, safe_yaml
from flower.settings.config import SECTIONS, Config, parse

STARTER = (Path(flower.__file__).parent / "starter" / "config.yaml").read_text()


def meaning(text: str) -> Any:
    return safe_yaml.load(text.encode()).value


@pytest.mark.parametrize(
    ("before", "name", "value", "after"),
    [
        ("", "tui.theme", "night", "tui:\n  theme: night\n"),
        ("tui:\n  theme: petal # mine\n", "tui.theme", "night", "tui:\n  theme: night # mine\n"),
        ("tui:\n    mouse: true\n", "tui.theme", "night", "tui:\n    theme: night\n    mouse: true\n"),
        ("tui: {mouse: true}\n", "tui.theme", "night", "tui: {theme: night, mouse: true}\n"),
        ("tui: {}\n", "tui.theme", "night", "tui: {theme: night}\n"),
        ("tui:\nengine:\n  port: 1\n", "tui.theme", "x", "tui:\n  theme: x\nengine:\n  port: 1\n"),
        ("tui:\n  theme:\n", "tui.theme", "night", "tui:\n  theme: night\n"),
        ('default_model: "a"\n', "default_model", "b: c", 'default_model: "b: c"\n'),
        ("# a\ndefault_model: |-\n  a\n# b\n", "default_model", "b", "# a\ndefault_model: b\n# b\n"),
        ("lore:\n  roots:\n  - a\n  - b\n# end\n", "lore.roots", ["c"], 'lore:\n  roots: ["c"]\n# end\n'),
        ("tui:\n  theme: x # y\n  mouse: true\n", "tui.theme", None, "tui:\n  mouse: true\n"),
        ("tui: {theme: x, mouse: true}\n", "tui.theme", None, "tui: {mouse: true}\n"),
        ("tui: {mouse: true, theme: x}\n", "tui.theme", None, "tui: {mouse: true}\n"),
        ("# tui:\n#   a: b\n\n# c\n", "tui.theme", "x", "# tui:\n#   a: b\ntui:\n  theme: x\n\n# c\n"),
        ("tui:\r\n  theme: petal\r\n", "tui.theme", "x", "tui:\n  theme: x\n"),
        ("a: 1", "tui.theme", None, "a: 1"),
    ],
)  # fmt: skip
def test_only_the_setting_changes(before: str, name: str, value: Any, after: str) -> None:
    assert edit.with_setting(before, name, value) == after


def test_every_setting_can_be_put_into_the_file_of_a_new_home() -> None:
    config = Config()
    for setting in descriptions.every(config):
        if setting.by_hand or setting.secret:
            continue
        value = {"true or false": True, "text": "x", "a list": ["x"]}.get(setting.allowed)
        if setting.choices:
            value = descriptions.value_of(setting.name, setting.choices[-1])
        elif setting.allowed.startswith(("a number from", "a whole number from")):
            value = int(setting.allowed.split()[-3])
        elif setting.name == "engine.trusted_proxies":
            value = ["10.0.0.9"]
        elif value is None:
            value = {"x": "y"}
        text = edit.with_setting(STARTER, setting.name, value)
        document = safe_yaml.load(text.encode())
        parse(document.value, document.lines, {})
        comments = [line for line in text.split("\n") if line.startswith("#")]
        assert comments == [line for line in STARTER.split("\n") if line.startswith("#")]
        assert meaning(edit.with_setting(text, setting.name, None)) in (
            None,
            {setting.name.split(".")[0]: None},
        )


def test_a_broken_file_is_left_alone() -> None:
    with pytest.raises(ConfigError, match="line 1"):
        edit.with_setting("tui: {theme\n", "tui.theme", "x")
    with pytest.raises(ConfigError, match="no list of settings"):
        edit.with_setting("- a\n", "tui.theme", "x")


NAMES = sorted([*SECTIONS, "default_model", "fallback_models"])
SCALARS = st.one_of(
    st.booleans(),
    st.integers(-(10**9), 10**9),
    st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs")), max_size=12),
    st.lists(st.text("abc #:,-", max_size=5), max_size=3),
)
COMMENT = st.sampled_from(["", "  # a note", " # x: y"])


@st.composite
def files(draw: st.DrawFn) -> str:
    """Texts as people write them: sections in block and flow style, comments, blank lines."""
    rows: list[str] = []
    for name in draw(st.permutations(NAMES))[: draw(st.integers(0, 5))]:
        rows += draw(st.sampled_from([[], [""], ["# a comment"], [f"# {name}:", "#   x: 1"]]))
        if name not in SECTIONS:
            rows.append(f"{name}: {descriptions.as_yaml(draw(SCALARS))}{draw(COMMENT)}")
            continue
        keys = draw(st.permutations(sorted(SECTIONS[name])))[: draw(st.integers(0, 3))]
        values = [(key, descriptions.as_yaml(draw(SCALARS))) for key in keys]
        if draw(st.booleans()):
            inside = ", ".join(f"{key}: {value}" for key, value in values)
            rows.append(f"{name}: {{{inside}}}{draw(COMMENT)}")
        else:
            rows.append(f"{name}:{draw(COMMENT)}")
            indent = " " * draw(st.sampled_from([2, 4]))
            rows += [f"{indent}{key}: {value}{draw(COMMENT)}" for key, value in values]
    return "\n".join(rows) + draw(st.sampled_from(["", "\n", "\n\n"]))


@settings(max_examples=300, deadline=None)
@given(
    files(),
    st.sampled_from([name for name in descriptions.names() if name not in descriptions.BY_HAND]),
    st.one_of(st.none(), SCALARS),
)
def test_any_file_says_the_same_but_for_the_setting(text: str, name: str, value: Any) -> None:
    after = edit.with_setting(text, name, value)
    was, now = meaning(text) or {}, meaning(after) or {}
    section, _, key = name.partition(".")
    for other in {*was, *now} - {section}:
        assert was.get(other) == now.get(other)
    if key:
        inner_was, inner_now = was.get(section) or {}, now.get(section) or {}
        assert inner_now.get(key) == value
        assert {**inner_was, key: None} == {**inner_now, key: None}
    else:
        assert now.get(section) == value
    lost = [row for row in text.split("\n") if row.startswith("#") and row not in after]
    assert not lost


@settings(max_examples=100, deadline=None)
@given(files(), st.sampled_from(["tui.theme", "engine.port", "default_model"]), SCALARS)
def test_setting_it_again_changes_only_its_line(text: str, name: str, value: Any) -> None:
    once = edit.with_setting(text, name, value)
    twice = edit.with_setting(once, name, "other")
    different = [(a, b) for a, b in zip(once.split("\n"), twice.split("\n"), strict=True) if a != b]
    assert len(different) <= 1

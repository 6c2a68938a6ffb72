"""One setting in the text of ``config.yaml`` set or taken out, every other character left as it was. Pure.

Comments, order, blank lines and quotes are the user's. PyYAML's marks say where a value is, so only those
characters are replaced; a setting that is not there goes below its section, and a new section below the comments
that speak of it. What comes out is read again: unless it says the same but for this setting, nothing is changed.
"""

from __future__ import annotations

import copy
import re
from typing import Any

import yaml

from flower.errors import ConfigError, YamlError
from flower.settings import safe_yaml
from flower.settings.descriptions import as_yaml

BY_HAND = "change it in the file itself"


def with_setting(text: str, name: str, value: Any) -> str:
    """Returns ``text`` with the setting ``name`` (``theme`` or ``tui.theme``) at ``value``; None takes it out.

    Raises ``ConfigError`` when the file is broken, or too unusual to be changed by a program.
    """
    path = tuple(name.split("."))
    text = text.replace("\r\n", "\n").replace("\r", "\n").removeprefix("\ufeff")
    before = _meaning(text, name)
    if value is None and _at(before, path) is None:
        return text
    changed = _taken_out(text, path) if value is None else _put(text, path, as_yaml(value))
    after: Any = copy.deepcopy(before) if isinstance(before, dict) else {}
    _set(after, path, value)
    if _without_empty(_meaning(changed, name)) != _without_empty(after):
        raise ConfigError(f"{name} cannot be changed by a program where it stands; {BY_HAND}")
    return changed


def _meaning(text: str, name: str) -> Any:
    try:
        value = safe_yaml.load(text.encode("utf-8", "replace")).value
    except YamlError as error:
        raise ConfigError(f"{error}; mend that first") from error
    if value is not None and not isinstance(value, dict):
        raise ConfigError(f"the file is no list of settings; {BY_HAND}")
    return value


def _at(value: Any, path: tuple[str, ...]) -> Any:
    for part in path:
        value = value.get(part) if isinstance(value, dict) else None
    return value


def _set(mapping: dict[str, Any], path: tuple[str, ...], value: Any) -> None:
    for part in path[:-1]:
        inner = mapping.get(part)
        if not isinstance(inner, dict):
            inner = mapping[part] = {}
        mapping = inner
    if value is None:
        mapping.pop(path[-1], None)
    else:
        mapping[path[-1]] = value


def _without_empty(value: Any) -> Any:
    """Returns a mapping without keys that have no value: they count as absent."""
    if not isinstance(value, dict):
        return value or {}
    inner = {
        key: {k: v for k, v in part.items() if v is not None} if isinstance(part, dict) else part
        for key, part in value.items()
    }
    return {key: part for key, part in inner.items() if part not in (None, {})}


# --- where a key is ----------------------------------------------------------------------------


def _root(text: str) -> yaml.MappingNode | None:
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except (yaml.YAMLError, RecursionError) as error:
        raise ConfigError(f"the file is written in an unusual way; {BY_HAND}") from error
    return node if isinstance(node, yaml.MappingNode) else None


def _pair(node: yaml.Node | None, key: str) -> tuple[yaml.ScalarNode, yaml.Node] | None:
    if isinstance(node, yaml.MappingNode):
        for name, value in node.value:
            if isinstance(name, yaml.ScalarNode) and name.value == key:
                return name, value
    return None


def _find(text: str, path: tuple[str, ...]) -> tuple[yaml.ScalarNode, yaml.Node] | None:
    node: yaml.Node | None = _root(text)
    pair = None
    for part in path:
        pair = _pair(node, part)
        if pair is None:
            return None
        node = pair[1]
    return pair


def _put(text: str, path: tuple[str, ...], value: str) -> str:
    pair = _find(text, path)
    if pair is not None:
        return _replaced(text, pair[0], pair[1], value)
    if len(path) == 1:
        return _at_top_level(text, path[0], [f"{path[0]}: {value}"])
    section = _find(text, path[:1])
    line = f"{path[1]}: {value}"
    if section is None:
        return _at_top_level(text, path[0], [f"{path[0]}:", f"  {line}"])
    return _in_section(text, section[0], section[1], line)


def _replaced(text: str, key: yaml.ScalarNode, node: yaml.Node, value: str) -> str:
    """Returns the text with the value of ``key`` replaced; what is behind it on its line stays."""
    start, end = node.start_mark.index, _end(node).index
    old = text[start:end]
    if not old:  # a key without a value: the mark may stand lines below
        start = end = text.index(":", key.end_mark.index) + 1
        return f"{text[:start]} {value}{text[end:]}"
    line_breaks = old[len(old.rstrip()) :]  # a block ends with the line breaks behind it
    if old.lstrip().startswith("- "):  # a list below its key: the value goes up to it
        start = text.index(":", key.end_mark.index) + 1
        value = f" {value}"
    return f"{text[:start]}{value}{line_breaks}{text[end:]}"


def _end(node: yaml.Node) -> yaml.Mark:
    """Returns where a value ends: a block's own mark is behind the comments below it."""
    if isinstance(node, yaml.CollectionNode) and not node.flow_style and node.value:
        last = node.value[-1]
        return _end(last[1] if isinstance(last, tuple) else last)
    return node.end_mark


def _in_section(text: str, key: yaml.ScalarNode, node: yaml.Node, line: str) -> str:
    if isinstance(node, yaml.MappingNode) and node.flow_style:
        inside = node.start_mark.index + 1
        comma = ", " if node.value else ""
        return f"{text[:inside]}{line}{comma}{text[inside:]}"
    if isinstance(node, yaml.MappingNode) and node.value:
        indent = " " * node.value[0][0].start_mark.column
        return _line_put(text, node.value[0][0].start_mark.line, f"{indent}{line}")
    return _line_put(text, key.start_mark.line + 1, f"{' ' * (key.start_mark.column + 2)}{line}")


def _at_top_level(text: str, key: str, lines: list[str]) -> str:
    """Puts lines below the comments that speak of ``key``, if there are any, else at the end."""
    rows = text.split("\n")
    if not rows[-1].strip():
        rows.pop()
    at = _below_comment(rows, key)
    if at is None:
        at = len(rows)
    if at == len(rows) and rows and rows[-1].strip() and not rows[-1].startswith("#"):
        lines = lines if len(lines) == 1 else ["", *lines]
    rows[at:at] = lines
    return "\n".join(rows) + "\n"


def _below_comment(rows: list[str], key: str) -> int | None:
    """Returns the row below ``# key: ...`` and the indented comments that belong to it."""
    commented = re.compile(rf"# ?{re.escape(key)}:")
    for place, row in enumerate(rows):
        if commented.match(row):
            place += 1
            while place < len(rows) and rows[place].startswith(("#  ", "#\t")):
                place += 1
            return place if _free(rows, place) else None
    return None


def _free(rows: list[str], place: int) -> bool:
    """Whether a new top-level key can stand in this row: nothing of another one goes on there."""
    following = next((row for row in rows[place:] if row.strip() and not row.startswith("#")), "")
    return not following.startswith((" ", "\t", "-", "}", "]", "...", "---"))


def _line_put(text: str, line: int, row: str) -> str:
    rows = text.split("\n")
    rows[line:line] = [row]
    if line >= len(rows) - 1 or not text.endswith("\n"):
        return "\n".join(rows).rstrip("\n") + "\n"
    return "\n".join(rows)


def _taken_out(text: str, path: tuple[str, ...]) -> str:
    pair = _find(text, path)
    assert pair is not None  # it has a value
    key, node = pair
    if len(path) == 2:
        section = _find(text, path[:1])
        if section is not None and isinstance(section[1], yaml.MappingNode) and section[1].flow_style:
            return _out_of_flow(text, section[1], key, node)
    rows = text.split("\n")
    end = _end(node)
    last = end.line if end.column else max(node.start_mark.line, end.line - 1)
    while last > key.start_mark.line and (
        not rows[last].strip() or rows[last].lstrip().startswith("#")
    ):
        last -= 1
    del rows[key.start_mark.line : last + 1]
    return "\n".join(rows)


def _out_of_flow(text: str, section: yaml.MappingNode, key: yaml.ScalarNode, node: yaml.Node) -> str:
    start, end = key.start_mark.index, node.end_mark.index
    behind = text[end : section.end_mark.index]
    comma = len(behind) - len(behind.lstrip())
    if behind[comma : comma + 1] == ",":
        end += comma + 1
        end += len(text[end:]) - len(text[end:].lstrip(" "))
    else:
        before = text[section.start_mark.index : start].rstrip()
        if before.endswith(","):
            start = section.start_mark.index + len(before) - 1
    return text[:start] + text[end:]

"""The text of a YAML file with other values under some of its keys, the rest as people wrote it. Pure.

Whoever writes files by hand has comments, an order and keys of other programs in them. So only the lines of the keys
that change are written anew; where a text is laid out so that this cannot be done, there is None, and the whole is
written again. Reading is ``safe_yaml``'s: what is given here was read by it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml

from flower.settings import safe_yaml

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
COLUMNS = 110


class _Dumper(yaml.SafeDumper):
    """Writes texts of several lines as blocks, as people do."""


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    # What the library writes plain may be a number to our reader: YAML 1.1 knows no 0E0.
    style = "|" if "\n" in value else None if safe_yaml.is_text(value) else "'"
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


_Dumper.add_representer(str, _text)


def dumped(values: Mapping[str, Any]) -> str:
    """Returns ``values`` as the text of a file."""
    return str(
        yaml.dump(dict(values), Dumper=_Dumper, allow_unicode=True, sort_keys=False, width=COLUMNS)
    )


def edited(text: str, changes: Mapping[str, Any]) -> str | None:
    """Returns ``text`` with the values of ``changes`` under their keys, a None removes its key.

    None when the text is no mapping with a key at the beginning of each line.
    """
    try:
        root = yaml.compose(text, Loader=_LOADER)
    except (yaml.YAMLError, RecursionError, ValueError):
        return None
    if not isinstance(root, yaml.MappingNode) or root.flow_style or text.rstrip().endswith("..."):
        return None
    lines = text.splitlines(keepends=True)
    if lines and not lines[-1].endswith("\n"):
        lines[-1] += "\n"
    starts = [key.start_mark.line for key, _ in root.value]
    if any(key.start_mark.column for key, _ in root.value) or len(set(starts)) < len(starts):
        return None
    pieces = lines[: starts[0]]
    written = set()
    for (key, value), begin, end in zip(root.value, starts, [*starts[1:], len(lines)], strict=True):
        name = key.value
        block, after = _without_tail(lines[begin:end])
        if name in changes and name not in written:
            block = _replaced(name, changes[name], value, lines)
        written.add(name)
        pieces += [*block, *after]
    added = {
        name: value for name, value in changes.items() if name not in written and value is not None
    }
    return "".join(pieces) + (dumped(added) if added else "")


def _without_tail(block: list[str]) -> tuple[list[str], list[str]]:
    """Returns a key's own lines, and the blank lines and comments between it and the next key."""
    end = len(block)
    while end > 1 and (not block[end - 1].strip() or block[end - 1].startswith("#")):
        end -= 1
    return block[:end], block[end:]


def _replaced(name: str, value: Any, node: yaml.Node, lines: list[str]) -> list[str]:
    """Returns the lines of a key with another value; a comment at the end of its line stays."""
    if value is None:
        return []
    new = dumped({name: value}).splitlines(keepends=True)
    last = lines[node.end_mark.line] if node.end_mark.line < len(lines) else ""
    rest = last[node.end_mark.column :].strip()
    if not rest.startswith("#") or not isinstance(node, yaml.ScalarNode) or node.style in ("|", ">"):
        return new
    if len(new) == 1:
        return [f"{new[0].rstrip()}  {rest}\n"]
    return [f"{rest}\n", *new]

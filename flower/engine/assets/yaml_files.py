"""Worlds, characters and rules as YAML files of a home: written whole, found by id, put aside.

``loader`` reads what people write; here is what commands write for them. A file appears whole or not at all, and what
it takes the place of is kept beside it. Whoever writes files by hand has comments, an order and keys of other programs
in them: so only the lines of the keys that change are written anew, and where a text is laid out so that this cannot
be done, the whole is written again.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import yaml

from flower import file_io, limits
from flower.engine.assets.kinds import READERS, Character, Rule, World
from flower.errors import AssetError, YamlError
from flower.file_io import write_whole
from flower.settings import safe_yaml, validators

Asset = Character | World | Rule
FOLDERS: Mapping[type[Asset], str] = {Character: "characters", World: "worlds", Rule: "rules"}
BEFORE = ".before"  # the ending of what was written over, and of what was deleted
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
COLUMNS = 110
USUAL = {"priority": 50}  # what need not be said


class WrittenAsset(NamedTuple):
    """Where an asset is now; ``whole``: its file was written anew, what a person wrote there is beside it."""

    path: Path
    whole: bool


def values_of(asset: Asset) -> dict[str, Any]:
    """Returns what a file has to say of an asset."""
    values: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(asset))
    entries = {
        key: value
        for key, value in values.items()
        if value not in ("", [], (), None) and USUAL.get(key) != value
    }
    if isinstance(asset, Character):
        entries.setdefault("persona", "")
    return entries


def yaml_of(asset: Asset, others: Mapping[str, Any] | None = None) -> str:
    """Returns the file of an asset; reading it gives the same. Raises ``AssetError`` where it would not.

    ``others`` are keys of another program, which stay.
    """
    asset = as_read(asset)
    text = dumped({**values_of(asset), **(others or {})})
    if len(text.encode()) > limits.ASSET_BYTES:
        raise AssetError(f"{asset.id} is too long for a file")
    try:
        if READERS[FOLDERS[type(asset)]](value_of(text), ()) != asset:
            raise AssetError(f"{asset.id} holds characters that a file cannot keep; remove them")
    except (validators.WrongValueError, YamlError) as error:
        raise AssetError(f"{asset.id}: {error}") from None
    return text


def value_of(text: str) -> Any:
    """Returns what a file says, as ``kinds.READERS`` take it."""
    return safe_yaml.load(text.encode(), most=limits.ASSET_BYTES).value


def as_read(asset: Asset) -> Asset:
    """Returns the asset as the next start of the engine reads it. Raises ``AssetError`` if it cannot be written."""
    stripped = {
        key: value.strip() if isinstance(value, str) else value
        for key, value in values_of(asset).items()
    }
    try:
        read: Asset = READERS[FOLDERS[type(asset)]](stripped, ())
        return read
    except validators.WrongValueError as error:
        raise AssetError(f"{asset.id}: {error}") from None


def write(assets: Path, asset: Asset) -> WrittenAsset:
    """Writes an asset into its file, a new one if it has none; returns where.

    Raises ``AssetError`` with a sentence when that cannot be.
    """
    asset, folder = as_read(asset), assets / FOLDERS[type(asset)]
    path = find(assets, asset.id, FOLDERS[type(asset)])
    text, whole = (yaml_of(asset), False) if path is None else _over(path, asset)
    path = path or _free(folder, asset.id)
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_whole(path, [text.encode()], aside=path.with_name(path.name + BEFORE))
    except OSError as error:
        raise AssetError(f"{path} cannot be written: {error.strerror or error}") from error
    return WrittenAsset(path, whole)


def _over(path: Path, asset: Asset) -> tuple[str, bool]:
    """Returns the new text of a file that is there, and whether it was written anew as a whole."""
    try:
        before = file_io.read(path, limits.ASSET_BYTES).decode("utf-8-sig")
        document = value_of(before)
    except (OSError, UnicodeDecodeError, YamlError) as error:
        raise AssetError(f"{path} cannot be read: {error}") from error
    fields = type(asset).__struct_fields__
    others = {key: value for key, value in document.items() if key not in fields}
    after = values_of(asset)
    now = values_of(READERS[FOLDERS[type(asset)]](document, ()))
    changes = {key: after.get(key) for key in fields if after.get(key) != now.get(key)}
    text = edited(before, changes)
    if text is not None and _says(text, asset, others):
        return text, False
    return yaml_of(asset, others), True


def _says(text: str, asset: Asset, others: Mapping[str, Any]) -> bool:
    try:
        value = value_of(text)
        read = READERS[FOLDERS[type(asset)]](value, ())
    except (YamlError, validators.WrongValueError):
        return False
    fields = type(asset).__struct_fields__
    return bool(read == asset) and {key: v for key, v in value.items() if key not in fields} == others


def _free(folder: Path, asset_id: str) -> Path:
    """Returns a name that no file has: one of this name may hold somebody else, or be broken."""
    path, number = folder / f"{asset_id}.yaml", 1
    while path.exists():
        number += 1
        path = folder / f"{asset_id}-{number}.yaml"
    return path


def put_aside(assets: Path, asset_id: str, folder: str = "characters") -> Path | None:
    """Makes an asset's file none; returns where its text is now, None if it had no file.

    Raises ``AssetError`` with a sentence when that cannot be.
    """
    path = find(assets, asset_id, folder)
    if path is None:
        return None
    aside = path.with_name(path.name + BEFORE)
    try:
        os.replace(path, aside)
    except OSError as error:
        raise AssetError(f"{path} cannot be deleted: {error.strerror or error}") from error
    return aside


def find(assets: Path, asset_id: str, folder: str = "characters") -> Path | None:
    """Returns the file in which an asset is; files that cannot be read are passed over."""
    likely = assets / folder / f"{asset_id}.yaml"
    try:
        others = sorted((assets / folder).glob("*.y*ml"))
    except OSError:
        return None
    for path in [likely, *others]:
        with contextlib.suppress(OSError, YamlError):
            if path.is_file() and not path.name.startswith("."):
                data = file_io.read(path, limits.ASSET_BYTES + 1)
                value = safe_yaml.load(data, most=limits.ASSET_BYTES).value
                if isinstance(value, dict) and value.get("id") == asset_id:
                    return path
    return None


# --- The text of a file with other values under some of its keys, the rest as people wrote it.


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

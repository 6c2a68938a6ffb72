"""Characters as YAML files of a home: written whole, found by id, put aside.

``assets`` reads what people write; here is what commands write for them. A file appears whole or not at all,
and what it takes the place of is kept beside it.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Any

import msgspec
import yaml

from flower import limits
from flower.engine.assets import READERS, Character
from flower.errors import AssetError, YamlError
from flower.settings import safe_yaml, validators
from flower.whole_file import write_whole

FOLDER = "characters"
BEFORE = ".before"  # the ending of what was written over, and of what was deleted
COLUMNS = 110


class _Dumper(yaml.SafeDumper):
    """Writes texts of several lines as blocks, as people do."""


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    style = "|" if "\n" in value else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


_Dumper.add_representer(str, _text)


def yaml_of(character: Character) -> str:
    """Returns the file of a character; reading it gives the same. Raises ``AssetError`` where it would not."""
    values: dict[str, Any] = msgspec.to_builtins(character)
    given = {key: value for key, value in values.items() if value not in ("", [], (), None)}
    given.setdefault("persona", "")
    text = yaml.dump(given, Dumper=_Dumper, allow_unicode=True, sort_keys=False, width=COLUMNS)
    if len(text.encode()) > limits.YAML_BYTES:
        raise AssetError(f"{character.id} is too long for a file")
    try:
        READERS[FOLDER](safe_yaml.load(text.encode()).value, ())
    except (validators.WrongValueError, YamlError) as error:
        raise AssetError(f"{character.id}: {error}") from None
    return text


def value_of(text: str) -> Any:
    """Returns what a file says, as ``assets.READERS`` take it."""
    return safe_yaml.load(text.encode()).value


def write(assets: Path, character: Character) -> Path:
    """Writes a character into its file, a new one if it has none; returns where.

    Raises ``AssetError`` with a sentence when that cannot be.
    """
    text = yaml_of(character)
    path = find(assets, character.id) or assets / FOLDER / f"{character.id}.yaml"
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_whole(path, [text.encode()], aside=path.with_name(path.name + BEFORE))
    except OSError as error:
        raise AssetError(f"{path} cannot be written: {error.strerror or error}") from error
    return path


def put_aside(assets: Path, character_id: str) -> Path | None:
    """Makes a character's file none; returns where its text is now, None if it had no file.

    Raises ``AssetError`` with a sentence when that cannot be.
    """
    path = find(assets, character_id)
    if path is None:
        return None
    aside = path.with_name(path.name + BEFORE)
    try:
        os.replace(path, aside)
    except OSError as error:
        raise AssetError(f"{path} cannot be deleted: {error.strerror or error}") from error
    return aside


def find(assets: Path, character_id: str) -> Path | None:
    """Returns the file in which a character is; files that cannot be read are passed over."""
    likely = assets / FOLDER / f"{character_id}.yaml"
    try:
        others = sorted((assets / FOLDER).glob("*.y*ml"))
    except OSError:
        return None
    for path in [likely, *others]:
        with contextlib.suppress(OSError, YamlError):
            if path.is_file() and not path.name.startswith("."):
                value = safe_yaml.load(path.read_bytes()[: limits.YAML_BYTES + 1]).value
                if isinstance(value, dict) and value.get("id") == character_id:
                    return path
    return None

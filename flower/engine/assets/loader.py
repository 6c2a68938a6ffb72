"""Worlds, characters and rules from the YAML files of a directory, read once into frozen values.

A broken file is skipped and named in ``problems``; it never stops the engine. Later directories override earlier ones
by id, so that a user's own file replaces a shipped one. It never writes, and never uses an id as a path.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from flower import file_io, limits
from flower.engine.assets.kinds import FIELDS, READERS, Assets
from flower.errors import AssetError, YamlError
from flower.settings import safe_yaml, validators

ASSET_FILES = 1000  # per folder; each is read and checked at start

SHIPPED = Path(__file__).parents[2] / "assets"

# Keys that files from elsewhere carry, which nobody can mean for one of ours.
FOREIGN = frozenset({
    "tags", "author", "authors", "creator", "version", "created", "updated", "date", "license", "licence",
    "source", "url", "homepage", "notes", "comment", "comments", "language", "lang", "nsfw", "avatar",
    "image", "icon", "picture", "extensions", "metadata", "meta", "credits", "sort", "order",
})  # fmt: skip
NEAR = 0.75  # likeness, 0 to 1, from which on a key may be a misspelt one
# What people coming from other programs call ours.
MEANT = {
    "greeting": "start_message",
    "first_mes": "start_message",
    "first_message": "start_message",
    "intro": "start_message",
    "scenario": "scene",
    "description": "persona",
    "personality": "persona",
    "system": "system_prompt",
    "text": "prompt",
    "title": "name",
}


def load_assets(directories: Sequence[Path]) -> Assets:
    """Returns the assets of all ``directories``; a later one wins where ids are equal.

    A directory holds ``worlds/``, ``characters/``, ``rules/`` and ``system_rules.yaml``, each optional.
    Raises nothing: what cannot be read is in ``problems``.
    """
    problems: list[str] = []
    return Assets(
        worlds=_load_kind("worlds", directories, problems),
        characters=_load_kind("characters", directories, problems),
        rules=_load_kind("rules", directories, problems),
        system_rules=_load_system_rules(directories, problems),
        problems=tuple(problems),
    )


def _load_kind(folder: str, directories: Sequence[Path], problems: list[str]) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for directory in directories:
        result.update(_load_folder(READERS[folder], directory / folder, problems))
    return result


def _load_folder(read: validators.Reader[Any], folder: Path, problems: list[str]) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for path in _files(folder, problems):
        try:
            asset = _load_file(read, path, problems)
        except AssetError as error:
            problems += str(error).splitlines()
            continue
        if asset.id in result:
            problems.append(f"{_label(path)}: another file here has the id {asset.id!r}; change one")
        else:
            result[asset.id] = asset
    return result


def _files(folder: Path, problems: list[str]) -> Iterator[Path]:
    try:
        paths = sorted(path for path in folder.iterdir() if _is_asset(path.name))
    except FileNotFoundError:
        return
    except OSError as error:
        problems.append(f"{folder}: cannot be read ({error.strerror})")
        return
    if len(paths) > ASSET_FILES:
        problems.append(f"{folder}: {len(paths)} files; only the first {ASSET_FILES} are used")
    yield from paths[:ASSET_FILES]


def _is_asset(name: str) -> bool:
    """Hidden files are other programs': macOS leaves ``._x.yaml`` beside a copy, Emacs ``.#x.yaml``."""
    return name.lower().endswith((".yaml", ".yml")) and not name.startswith((".", "#"))


def _load_file(read: validators.Reader[Any], path: Path, problems: list[str]) -> Any:
    document = _document(path)
    try:
        asset = read(document.value, ())
    except validators.WrongValueError as wrong:
        mistakes = sorted(
            (validators.line_of(document.lines, one.path), str(one)) for one in wrong.every
        )
        sentences = [f"{_label(path)}, line {line}: {text}" for line, text in mistakes]
        also = _unknown_keys(document, FIELDS[path.parent.name], path)
        raise AssetError("\n".join([*sentences, *also])) from None
    problems += _unknown_keys(document, asset.__struct_fields__, path)
    return asset


def _unknown_keys(document: safe_yaml.Document, fields: Sequence[str], path: Path) -> list[str]:
    """Returns a sentence for each key that means nothing here and may be a mistake."""
    if not isinstance(document.value, dict):
        return []
    sentences = []
    for key in document.value:
        if key in fields or key.lower() in FOREIGN or key.startswith(("_", "x-")):
            continue
        meant = MEANT.get(key.lower(), "")
        near = difflib.get_close_matches(key.lower(), (*fields, *MEANT), n=1, cutoff=NEAR)
        meant = meant or (MEANT.get(near[0], near[0]) if near else "")
        if meant not in fields:
            continue
        line = validators.line_of(document.lines, (key,))
        quoted = key[: limits.KEY_SHOWN_CHARS]
        sentences.append(
            f"{_label(path)}, line {line}: the key {quoted!r} means nothing here and is left out; "
            f"did you mean {meant!r}?"
        )
    return sentences


def _load_system_rules(directories: Sequence[Path], problems: list[str]) -> str:
    result = ""
    for directory in directories:
        path = directory / "system_rules.yaml"
        if not path.exists():
            continue
        try:
            result = validators.text(_document(path).value, ())
        except AssetError as error:
            problems.append(str(error))
        except validators.WrongValueError:
            problems.append(
                f"{_label(path)}, line 1: must be one text; begin the file with '|-' and indent"
            )
    return result


def _document(path: Path) -> safe_yaml.Document:
    try:
        with file_io.opened(path) as file:
            size = os.fstat(file.fileno()).st_size
            if size > limits.ASSET_BYTES:
                most = limits.ASSET_BYTES // limits.MIB
                raise AssetError(
                    f"{_label(path)}: the file has {size / limits.MIB:.1f} MiB; {most} MiB is the most"
                )
            return safe_yaml.load(file.read(limits.ASSET_BYTES), most=limits.ASSET_BYTES)
    except OSError as error:
        raise AssetError(f"{_label(path)}: cannot be read ({error.strerror})") from error
    except YamlError as error:
        raise AssetError(f"{_label(path)}, {error}") from error


def _label(path: Path) -> str:
    """Returns the last two parts of a path: enough to find the file, short enough for a status line."""
    text = "/".join(path.parts[-2:]).encode("utf-8", "replace").decode()
    return text if text.isprintable() else ascii(text)[1:-1]

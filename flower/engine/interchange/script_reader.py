"""Scripts of other programs as ``Script`` values: SillyTavern's regex scripts and Risu's custom scripts. Pure.

Sources: SillyTavern's regex extension (``engine.js``, ``index.js``: how old versions of its fields are taken
over); RisuAI's ``scripts.ts``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flower import limits
from flower.engine.interchange.fields import first_text, flag, mapping, number, objects, text, whole
from flower.engine.scripts.script import PLACES, Macros, Script, ScriptPlace

IMPORT_SCRIPTS = 500  # of one card or file

UNNAMED = "script"
_SHOWN_ONCE, _SEND_AS = 0, 4  # places of old versions
_RISU = {
    "editinput": {"places": (ScriptPlace.PLAYER,)},
    "editoutput": {"places": (ScriptPlace.NARRATOR,)},
    "editprocess": {"places": (ScriptPlace.PLAYER, ScriptPlace.NARRATOR), "in_prompt": True},
    "editdisplay": {"places": (ScriptPlace.PLAYER, ScriptPlace.NARRATOR), "on_screen": True},
}  # what it changes, by Risu's word for it
_RISU_FLAGS = "gimsu"


def is_scripts(value: object) -> bool:
    """Whether a file is an export of scripts: one, a list of them, or Risu's."""
    if isinstance(value, list):
        return bool(value) and all(_is_script(item) for item in value)
    if mapping(value).get("type") == "regex":
        return isinstance(mapping(value).get("data"), list)
    return _is_script(value)


def _is_script(value: object) -> bool:
    script = mapping(value)
    return "findRegex" in script and ("replaceString" in script or "scriptName" in script)


def read(value: object) -> tuple[Script, ...]:
    """Returns the scripts of a file for which ``is_scripts`` holds."""
    if mapping(value).get("type") == "regex":
        return _many(mapping(value).get("data"), _risu)
    return _many(value if isinstance(value, list) else [value], _sillytavern)


def of_settings(value: Mapping[str, Any]) -> tuple[Script, ...]:
    """Returns the scripts for everything that SillyTavern's settings hold."""
    return _many(mapping(value.get("extension_settings")).get("regex"), _sillytavern)


def of_card(extensions: Mapping[str, Any]) -> tuple[Script, ...]:
    """Returns the scripts in a card's extensions."""
    risu = mapping(extensions.get("risuai"))
    own = [*objects(risu.get("customScripts")), *objects(risu.get("customscript"))]
    return (*_many(extensions.get("regex_scripts"), _sillytavern), *_many(own, _risu))[:IMPORT_SCRIPTS]


def _many(value: object, read_one: Any) -> tuple[Script, ...]:
    scripts = (read_one(item) for item in objects(value))
    return tuple(script for script in scripts if script is not None)[:IMPORT_SCRIPTS]


def _name(value: object) -> str:
    return " ".join(text(value).split())[: limits.NAME_CHARS] or UNNAMED


def _sillytavern(item: Mapping[str, Any]) -> Script | None:
    pattern = text(item.get("findRegex"))
    if not pattern:
        return None
    places, once = _places(item.get("placement"))
    trims = item.get("trimStrings")
    return Script(
        name=_name(item.get("scriptName")),
        pattern=pattern,
        replacement=text(item.get("replaceString")),
        trims=tuple(text(trim) for trim in trims if text(trim)) if isinstance(trims, list) else (),
        places=places,
        on_screen=once or flag(item.get("markdownOnly")),
        in_prompt=once or flag(item.get("promptOnly")),
        on_edit=flag(item.get("runOnEdit")),
        off=flag(item.get("disabled")),
        macros=_macros(item.get("substituteRegex")),
        least_depth=whole(item.get("minDepth"), -1),
        most_depth=whole(item.get("maxDepth"), -1),
    )


def _macros(value: object) -> Macros:
    """Old versions had a switch for it."""
    kind = 1 if value is True else int(number(value) or 0)
    return Macros(kind) if kind in (1, 2) else Macros.LEFT


def _places(value: object) -> tuple[tuple[ScriptPlace, ...], bool]:
    """Returns the places, and whether there was one among them that old versions had for what is shown."""
    numbers = {whole(item) for item in (value if isinstance(value, list) else [value])}
    once = _SHOWN_ONCE in numbers
    if numbers == {_SHOWN_ONCE}:
        return tuple(ScriptPlace), True
    if numbers == {_SEND_AS}:
        return (ScriptPlace.COMMAND,), False
    return tuple(sorted(ScriptPlace(item) for item in numbers if item in PLACES)), once


def _risu(item: Mapping[str, Any]) -> Script | None:
    """What begins with ``@@`` is an order to Risu, which nothing here carries out."""
    pattern, kind = text(item.get("in")), text(item.get("type"))
    replacement = text(item.get("out"))
    if not pattern or replacement.startswith("@@"):
        return None
    chosen = text(item.get("flag")) if flag(item.get("ableFlag")) else "g"
    plain = chosen.partition("<")[0]  # orders of Risu's stand behind the flags
    flags = "".join(dict.fromkeys(sign for sign in plain if sign in _RISU_FLAGS)) or "g"
    replacement = replacement.replace("$n", "\n").replace("{{data}}", "$0").replace("$&", "$0")
    return Script(
        name=_name(first_text(item, "comment", "name")),
        pattern=f"/{pattern}/{flags}",
        replacement=replacement,
        off=kind not in _RISU,
        **_RISU.get(kind, {"places": (ScriptPlace.NARRATOR,)}),  # type: ignore[arg-type]
    )

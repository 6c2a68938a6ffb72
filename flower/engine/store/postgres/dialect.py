"""Statements of SQLite in the words of PostgreSQL. Pure.

Only what the two spell differently: parameters, ``IS`` between values, hints for SQLite's planner, sizes of
integers, and the id of an inserted row. Functions that PostgreSQL lacks (``json_extract``, ``instr``) are not
translated; ``definitions`` makes them. A comment ``/*pg ... */`` in a statement holds words for PostgreSQL alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

# Tables whose rows are known by a number that the database gives.
NUMBERED = frozenset(
    {
        "messages",
        "attached_lore",
        "passages",
        "waiting_lines",
        "originals",
        "books",
        "personas",
        "scripts",
        "users",
        "audit",
        "whispers",
    }
)
_WORDS = {"group_concat": "string_agg", "INTEGER": "BIGINT"}
_SEEN = 1024  # statements; all there are


class Statement(NamedTuple):
    """A statement for PostgreSQL. ``names``: of its parameters in their order, if they have names.

    ``gives_id``: it returns the id of the row that it adds, which SQLite tells without being asked.
    """

    sql: str
    names: tuple[str, ...]
    gives_id: bool


@lru_cache(_SEEN)
def translated(sql: str) -> Statement:
    """Returns what PostgreSQL is asked for a statement of ours."""
    out: list[str] = []
    names: list[str] = []
    words: list[str] = []  # the last ones, to know what a word comes after
    count, at = 0, 0
    while at < len(sql):
        piece, at = _piece(sql, at)
        if piece == "?":
            count += 1
            out.append(f"${count}")
        elif piece[0] == "?":
            out.append(f"${piece[1:]}")
        elif piece[0] == ":" and piece not in {":", "::"}:
            if piece[1:] not in names:
                names.append(piece[1:])
            out.append(f"${names.index(piece[1:]) + 1}")
        elif piece.startswith("/*pg"):
            out.append(piece[4:-2])
        else:
            out.append(_word(piece, words))
        if not piece.isspace():
            words.append(piece)
            if _compares(words):
                _be_distinct(out, words)
    table = _inserted_into(words)
    gives_id = table in NUMBERED and "RETURNING" not in words
    text = "".join(out).strip()
    return Statement(f"{text} RETURNING id" if gives_id else text, tuple(names), gives_id)


def values(statement: Statement, parameters: Sequence[Any] | Mapping[str, Any]) -> Sequence[Any]:
    """Returns the parameters of a statement in their order."""
    if isinstance(parameters, Mapping):
        return [parameters[name] for name in statement.names]
    return parameters


def _piece(sql: str, at: int) -> tuple[str, int]:
    """Returns the next piece of a statement and where it ends: a word, spaces, a text, a parameter, a sign."""
    first = sql[at]
    end = at + 1
    if first in "'\"":
        end = _end_of_text(sql, at)
    elif sql.startswith("/*", at):
        closed = sql.find("*/", at)
        end = closed + 2 if closed >= 0 else len(sql)
    elif first in "?:" or first.isalnum() or first == "_":
        if first == ":" and sql[at : at + 2] == "::":
            return "::", at + 2
        while end < len(sql) and (sql[end].isalnum() or sql[end] == "_"):
            end += 1
    elif first.isspace():
        while end < len(sql) and sql[end].isspace():
            end += 1
    return sql[at:end], end


def _end_of_text(sql: str, at: int) -> int:
    """Returns where a quoted text ends; a quote in it is doubled, which reads as two texts."""
    closed = sql.find(sql[at], at + 1)
    return closed + 1 if closed >= 0 else len(sql)


def _word(piece: str, before: list[str]) -> str:
    if piece == "CROSS":  # SQLite's way to keep the order of a join; sessions have a setting for that
        return ""
    if (
        piece == "INDEXED"
        or (piece == "BY" and before[-1:] == ["INDEXED"])
        or before[-2:] == ["INDEXED", "BY"]
    ):
        return ""
    return _WORDS.get(piece, piece)


def _compares(words: list[str]) -> bool:
    """Whether the last word is what an ``IS`` or ``IS NOT`` compares with."""
    if len(words) < 2 or words[-1] in {"NOT", "NULL", "DISTINCT"}:
        return False
    return words[-2] == "IS" or words[-3:-1] == ["IS", "NOT"]


def _be_distinct(out: list[str], words: list[str]) -> None:
    """Makes ``IS x`` say ``IS NOT DISTINCT FROM x``, and ``IS NOT x`` the contrary."""
    negated = words[-2] == "NOT"
    value = out.pop()
    while out[-1] != "IS":
        out.pop()
    out.append(f" {'' if negated else 'NOT '}DISTINCT FROM {value}")


def _inserted_into(words: list[str]) -> str:
    return words[2] if words[:2] == ["INSERT", "INTO"] and len(words) > 2 else ""

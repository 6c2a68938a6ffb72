"""What a model at an endpoint would not take.

Pure. Owns the fields that were refused, per model, for the life of the process. A refused sampler
setting is left out of later requests instead of failing every turn.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

# Without these a request means nothing; leaving them out cannot help.
_NEEDED = frozenset(
    {"model", "messages", "contents", "prompt", "stream", "system", "systemInstruction"}
)
_CONTENT = frozenset({"messages", "contents", "prompt", "system", "systemInstruction"})


class Refusals:
    """Remembers refused fields. ``needed`` can never be left out, beside what every API needs."""

    def __init__(self, needed: Collection[str] = ()) -> None:
        self._needed = _NEEDED | frozenset(needed)
        self._fields: dict[str, set[str]] = {}

    def add(self, model: str, field: str) -> bool:
        """Remembers one; returns False when leaving it out is no help or has been tried."""
        fields = self._fields.setdefault(model, set())
        if field in self._needed or field in fields:
            return False
        fields.add(field)
        return True

    def of(self, model: str) -> frozenset[str]:
        """Returns the fields ``model`` has refused."""
        return frozenset(self._fields.get(model, ()))


def without(body: Mapping[str, Any], fields: Collection[str]) -> dict[str, Any]:
    """Returns ``body`` without ``fields``, also inside option objects, never inside the prompt."""
    if not fields:
        return dict(body)
    return {
        name: without(value, fields) if isinstance(value, dict) and name not in _CONTENT else value
        for name, value in body.items()
        if name not in fields
    }


def field_names(body: Mapping[str, Any]) -> tuple[str, ...]:
    """Returns the names of the fields that were sent and could be refused, deepest names included."""
    names: list[str] = []
    for name, value in body.items():
        names.append(name)
        if isinstance(value, dict) and name not in _CONTENT:
            names += field_names(value)
    return tuple(dict.fromkeys(names))

"""Sampler settings: a model's, and a story's own that win over them. Functions over a connection."""

from __future__ import annotations

import json
import sqlite3
from typing import Any

from flower.engine.store import stories


def of_story(db: sqlite3.Connection, session_id: str, model: str) -> dict[str, Any]:
    """Returns the settings that hold for a model in a story; the story's own win."""
    found = stories.session(db, session_id)
    own = found.extra.get("params", {}) if found is not None else {}
    return {**of_model(db, model), **own}


def of_model(db: sqlite3.Connection, model: str) -> dict[str, Any]:
    row = db.execute("SELECT params FROM model_params WHERE model = ?", (model,)).fetchone()
    return json.loads(row[0]) if row else {}


def set_of_model(db: sqlite3.Connection, model: str, name: str, value: Any) -> None:
    """Sets one setting of a model, or with None takes it back."""
    changed = {key: old for key, old in {**of_model(db, model), name: value}.items() if old is not None}
    db.execute("INSERT OR REPLACE INTO model_params VALUES (?, ?)", (model, json.dumps(changed)))

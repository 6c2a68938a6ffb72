"""Small files of other programs, made up, for tests of importing."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any


def card(name: str = "Ada", **fields: Any) -> dict[str, Any]:
    """Returns a V2 card."""
    data = {
        "name": name,
        "description": f"{name} mends clocks.",
        "personality": "patient",
        "scenario": "A workshop under the bridge.",
        "first_mes": "*{{char}} looks up.* Good evening, {{user}}.",
        "mes_example": "<START>\n{{user}}: Hello?\n{{char}}: Mind the gears.",
        "alternate_greetings": ["The door is locked.", "It rains."],
        "creator": "somebody",
        "creator_notes": "Best by candle light.",
        "character_version": "1",
        "tags": ["clocks"],
        "system_prompt": "",
        "post_history_instructions": "",
        "extensions": {},
        **fields,
    }
    return {"spec": "chara_card_v2", "spec_version": "2.0", "data": data}


def write(path: Path, value: object) -> Path:
    path.write_text(json.dumps(value))
    return path


def chat(path: Path, lines: Sequence[tuple[str, str]], *, main: str = "", **extra: Any) -> Path:
    """Writes a SillyTavern chat with Ada: (name, text), "You" is the player."""
    header = {
        "user_name": "You",
        "character_name": "Ada",
        "create_date": "2024-01-02@03h04m05s",
        "chat_metadata": {"main_chat": main, **extra} if main else extra,
    }
    rows = [header] + [
        {
            "name": name,
            "is_user": name == "You",
            "is_system": False,
            "send_date": f"2024-01-02T03:{number:02d}:00.000Z",
            "mes": text,
        }
        for number, (name, text) in enumerate(lines)
    ]
    path.write_text("\n".join(json.dumps(row) for row in rows))
    return path

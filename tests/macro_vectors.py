"""Recorded behaviour of macros, and how ours are held against it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from flower.engine.prompt.macros import Values, run

FOLDER = Path(__file__).parent / "library" / "vectors" / "macros"

Head = Mapping[str, Any]
Case = Mapping[str, Any]


def cases() -> Iterator[tuple[Head, Case]]:
    for path in sorted(FOLDER.glob("*.json")):
        head = json.loads(path.read_text())
        for case in head["cases"]:
            yield head, case


def values_of(head: Head, case: Case) -> Values:
    """Returns what the macros of a case stand for."""
    card = head["card"]
    given = case.get("chat", "default")
    chat = head["chats"].get(given, []) if isinstance(given, str) else given
    shown = [line for line in chat if not line.get("is_system")]
    said = [line["mes"] for line in shown if line["is_user"]]
    told = [line["mes"] for line in shown if not line["is_user"]]
    user, char = case.get("user", head["user"]), head["char"]

    def plain(text: str) -> str:
        return text.replace("{{user}}", user).replace("{{char}}", char).replace("\r\n", "\n")

    moment = datetime.fromisoformat(head["now"])
    since = datetime.fromisoformat(shown[-1]["send_date"]) if shown else moment
    asked = [line for line in shown[:-1] if line["is_user"]]
    since = datetime.fromisoformat(asked[-1]["send_date"]) if asked else since
    return Values(
        moment=moment,
        story_seed="story",
        seed="line",
        user=user,
        char=char,
        persona=plain(head["persona"]),
        description=plain(card["description"]),
        personality=plain(card["personality"]),
        scenario=plain(card["scenario"]),
        char_prompt=plain(card["system_prompt"]),
        char_instruction=plain(card["post_history_instructions"]),
        depth_prompt=plain(card["depth_prompt"]["prompt"]),
        creator_notes=plain(card["creator_notes"]),
        char_version=card["character_version"],
        examples=plain(card["mes_example"]),
        greetings=(plain(card["first_mes"]), *map(plain, card["alternate_greetings"])),
        group=char,
        original=case.get("original"),
        box=case.get("box", ""),
        outlets=case.get("outlets", {}),
        variables={
            **{f"${name}": str(value) for name, value in case.get("globals", {}).items()},
            **{name: str(value) for name, value in case.get("vars", {}).items()},
        },
        last_message=shown[-1]["mes"] if shown else "",
        last_message_id=str(len(chat) - 1) if chat else "",
        last_user_message=said[-1] if said else "",
        last_char_message=told[-1] if told else "",
        last_swipe_id=str(len(shown[-1].get("swipes", [""]))) if shown else "",
        current_swipe_id=str(shown[-1].get("swipe_id", 0) + 1) if shown else "",
        idle_s=(moment - since).total_seconds(),
    )


def fault_of(head: Head, case: Case) -> str:
    """Returns in what our result differs from the newer engine's, "" if it does not."""
    expected = case["engine"]
    got = run(case["text"], values_of(head, case))
    for kind, wanted in expected.items():
        match kind:
            case "output":
                fits = got.text == wanted
            case "one_of" | "stable_one_of":
                fits = got.text in wanted
            case "integer_range":
                fits = got.text.isdecimal() and wanted[0] <= int(got.text) <= wanted[1]
            case "matches":
                fits = re.fullmatch(wanted, got.text) is not None
            case "variables" | "globals":
                mark = "$" if kind == "globals" else ""
                kept = {mark + name.casefold(): str(value) for name, value in wanted.items()}
                fits = kept.items() <= got.variables.items()
            case _:
                fits = True
        if not fits:
            return f"{kind}: {wanted!r}, not {got.text!r} {dict(got.variables)}"
    return ""

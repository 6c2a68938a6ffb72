"""How lorebooks fire, said as plainly as it can be: every rule looks at everything, again and again.

A second way to the outcomes of ``flower.engine.lorebook``, for random cases in the form of the recorded ones. Left
out is what the recorded program does by accident and what budgets, decorators, macros and vectors add.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

JsonEntry = dict[str, Any]
Chance = Callable[[], float]


class Model:
    """Plays a case step by step, as ``tests.lore_vectors.Story`` does."""

    def __init__(self, case: Mapping[str, Any], head: Mapping[str, Any]) -> None:
        self._settings = {**head["base_settings"], **case["settings"]}
        self._character = head["char_file"]
        self._entries = self._in_order(case["books"], head["entry_defaults"])
        self._messages = list(case["chat"])
        self.timed: dict[str, dict[str, dict[str, Any]]] = {"sticky": {}, "cooldown": {}}

    def _in_order(
        self, books: Sequence[Mapping[str, Any]], defaults: Mapping[str, Any]
    ) -> list[JsonEntry]:
        scopes: dict[str, list[JsonEntry]] = {"global": [], "character": [], "chat": [], "persona": []}
        for book in books:
            for raw in book["entries"].values():
                filled = {**defaults, **raw, "id": f"{book['name']}.{raw['uid']}"}
                scopes[book["scope"]].append(filled)
        general, own = scopes["global"], scopes["character"]
        middle = [[general + own], [own, general], [general, own]][self._settings["strategy"]]
        rows = [scopes["chat"], scopes["persona"], *middle]
        return [entry for row in rows for entry in sorted(row, key=lambda one: -one["order"])]

    def step(self, step: Mapping[str, Any]) -> tuple[list[str], int]:
        """Returns which entries fire in their order, and how many dice were thrown."""
        if step.get("remove"):
            del self._messages[-step["remove"] :]
        self._messages += step.get("add", ())
        visible = [message for message in self._messages if not message.get("is_system")]
        dry = bool(step.get("dry"))
        held = {"sticky": set(), "cooldown": set()} if dry else self._begin(len(visible))
        chances = list(step["random"])
        scan = _Scan(self._settings, self._character, self._entries, visible, held, chances)
        scan.trigger = step.get("trigger", "normal")
        scan.run()
        if not dry:
            for entry in scan.fired:
                for kind in ("sticky", "cooldown"):
                    if entry[kind]:
                        effect = _effect(len(visible), entry[kind], protected=False)
                        self.timed[kind].setdefault(entry["id"], effect)
        return [entry["id"] for entry in scan.fired], len(step["random"]) - len(chances)

    def _begin(self, count: int) -> dict[str, set[str]]:
        """Ends what is over; an ended stay begins its rest. Returns what holds."""
        held: dict[str, set[str]] = {"sticky": set(), "cooldown": set()}
        known = {entry["id"]: entry for entry in self._entries}
        for kind in ("sticky", "cooldown"):
            for name, effect in list(self.timed[kind].items()):
                cut_back = count <= effect["start"] and not effect["protected"]
                if not cut_back and count < effect["end"]:
                    held[kind].add(name)
                    continue
                del self.timed[kind][name]
                if kind == "sticky" and not cut_back and known[name]["cooldown"]:
                    rest = _effect(count, known[name]["cooldown"], protected=True)
                    self.timed["cooldown"][name] = rest
        return held


def _effect(start: int, length: int, *, protected: bool) -> dict[str, Any]:
    return {"start": start, "end": start + length, "protected": protected}


class _Scan:
    def __init__(
        self,
        settings: Mapping[str, Any],
        character: str,
        entries: Sequence[JsonEntry],
        visible: Sequence[Mapping[str, Any]],
        held: Mapping[str, set[str]],
        chances: list[float],
    ) -> None:
        self.trigger = "normal"
        self.fired: list[JsonEntry] = []
        self._settings, self._character, self._entries = settings, character, entries
        names = settings["include_names"]
        self._lines = [f"{m['name']}: {m['mes']}" if names else m["mes"] for m in reversed(visible)]
        self._held, self._chances = held, chances
        self._depth = settings["depth"]
        self._brought: list[str] = []
        self._unlucky: list[JsonEntry] = []

    def run(self) -> None:
        levels = sorted({int(e["delayUntilRecursion"] or 0) for e in self._entries} - {0})
        level = levels.pop(0) if levels else 0
        state, passes = "first", 0
        while state and not 0 < self._settings["max_recursion_steps"] <= passes:
            passes += 1
            found = [e for e in self._entries if self._may(e, state, level) and self._found(e, state)]
            found.sort(key=lambda e: e["id"] not in self._held["sticky"])
            told = [e for e in self._without_losers(found, state) if self._lucky(e)]
            self.fired += told
            leading = [e for e in told if not e["preventRecursion"]]
            recursive = self._settings["recursive"]
            if recursive and (leading or (state == "wider" and self._brought)):
                state = "recursion"
            elif self._too_few():
                state, self._depth = "wider", self._depth + 1
            elif levels:
                state, level = "recursion", levels.pop(0)
            else:
                state = ""
            if leading:
                self._brought.append("\n".join(e["content"] for e in leading))

    def _may(self, entry: JsonEntry, state: str, level: int) -> bool:
        if entry in self.fired or entry in self._unlucky or entry["disable"]:
            return False
        if entry["triggers"] and self.trigger not in entry["triggers"]:
            return False
        wanted = entry.get("characterFilter") or {}
        if wanted.get("names") and (self._character in wanted["names"]) == wanted["isExclude"]:
            return False
        if entry["delay"] and len(self._lines) < entry["delay"]:
            return False
        if entry["id"] in self._held["sticky"]:
            return True
        if entry["id"] in self._held["cooldown"]:
            return False
        waits = int(entry["delayUntilRecursion"] or 0)
        if state != "recursion":
            return not waits
        return waits <= level and not entry["excludeRecursion"]

    def _found(self, entry: JsonEntry, state: str) -> bool:
        if entry["constant"] or entry["id"] in self._held["sticky"]:
            return True
        if not any(self._has(entry, key, state) for key in entry["key"]):
            return False
        if not entry["selective"] or not entry["keysecondary"]:
            return True
        further = [self._has(entry, key, state) for key in entry["keysecondary"]]
        return [any(further), not all(further), not any(further), all(further)][entry["selectiveLogic"]]

    def _has(self, entry: JsonEntry, key: str, state: str) -> bool:
        """Whether a key stands in what an entry reads."""
        depth = self._depth if entry["scanDepth"] is None else entry["scanDepth"]
        if depth <= 0:
            return False
        parts = self._lines[:depth] + (self._brought if state != "wider" else [])
        text = "\x01" + "\n\x01".join(parts)
        pattern = re.fullmatch(r"/(.+)/(i?)", key)
        if pattern:
            return re.search(pattern[1], text, re.IGNORECASE if pattern[2] else 0) is not None
        if not self._own(entry, "caseSensitive", "case_sensitive"):
            text, key = text.lower(), key.lower()
        if " " in key or not self._own(entry, "matchWholeWords", "match_whole_words"):
            return key in text
        return re.search(rf"(?:^|\W)(?:{re.escape(key)})(?:$|\W)", text, re.ASCII) is not None

    def _own(self, entry: JsonEntry, field: str, setting: str) -> bool:
        return bool(self._settings[setting] if entry[field] is None else entry[field])

    def _lucky(self, entry: JsonEntry) -> bool:
        sure = not entry["useProbability"] or entry["probability"] == 100
        if sure or entry["id"] in self._held["sticky"]:
            return True
        if self._chances.pop(0) * 100 <= entry["probability"]:
            return True
        self._unlucky.append(entry)
        return False

    def _too_few(self) -> bool:
        furthest = self._settings["min_activations_depth_max"]
        return (
            len(self.fired) < self._settings["min_activations"]
            and self._depth <= len(self._lines)
            and not 0 < furthest < self._depth
        )

    # --- groups -----------------------------------------------------------------------------------

    def _without_losers(self, found: list[JsonEntry], state: str) -> list[JsonEntry]:
        lost: list[JsonEntry] = []
        groups = {e["group"]: [o for o in found if o["group"] == e["group"]] for e in found}
        groups.pop("", None)
        left = {name: self._best(members, state) for name, members in groups.items()}
        for name, members in groups.items():
            winners = [e for e in members if e["id"] in self._held["sticky"]]
            if not winners and any(e["group"] == name for e in self.fired):
                lost += members
                continue
            winners = winners or [self._winner(left[name])]
            lost += [e for e in members if e not in winners]
        return [e for e in found if e not in lost]

    def _best(self, members: list[JsonEntry], state: str) -> list[JsonEntry]:
        scored = [e for e in members if self._own(e, "useGroupScoring", "use_group_scoring")]
        scores = {e["id"]: self._score(e, state) for e in members}
        most = max(scores.values())
        return [e for e in members if e not in scored or scores[e["id"]] == most]

    def _score(self, entry: JsonEntry, state: str) -> int:
        first = sum(self._has(entry, key, state) for key in entry["key"])
        further = sum(self._has(entry, key, state) for key in entry["keysecondary"])
        counts = entry["selectiveLogic"] == 0 or (
            entry["selectiveLogic"] == 3 and further == len(entry["keysecondary"])
        )
        return first + (further if counts and entry["key"] else 0)

    def _winner(self, members: list[JsonEntry]) -> JsonEntry:
        preferred = [e for e in members if e["groupOverride"]]
        if preferred or len(members) == 1:
            return max(preferred or members, key=lambda e: e["order"])
        point = self._chances.pop(0) * sum(e["groupWeight"] for e in members)
        for entry in members:
            point -= entry["groupWeight"]
            if point <= 0:
                return entry
        return members[-1]

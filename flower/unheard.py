"""Variables that were set too late: for an engine that already runs.

Compares what the running engine was started with and what it would be started with now. Names are told,
never values.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from flower.errors import ConfigError
from flower.home import Home, load_config
from flower.launch import running_process


def unheard_variables(home: Home, environ: Mapping[str, str]) -> str:
    """Returns a sentence if the engine that runs on ``home`` was started without settings of ``environ``.

    Only the variables of ``config.ENVIRONMENT`` count, and only where they would change something. Names
    are told, never values. ``""`` when no engine is ready, when the system does not show a process's
    variables, and when the settings are wrong, which is told elsewhere.
    """
    from flower.config import ENVIRONMENT  # 50 ms, so this is asked after the first frame

    pid = running_process(home)
    mine = [name for name in ENVIRONMENT if environ.get(name, "").strip()]
    if pid is None or not mine:
        return ""
    try:
        entries = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
        known = {name: value for name, _, value in (os.fsdecode(one).partition("=") for one in entries)}
        running, wanted = load_config(home, known), load_config(home, environ)
    except (OSError, ConfigError):
        return ""
    unheard = [
        name
        for name in mine
        if getattr(running, ENVIRONMENT[name]) != getattr(wanted, ENVIRONMENT[name])
    ]
    if not unheard:
        return ""
    is_are = "is" if len(unheard) == 1 else "are"
    other_way = ""
    if not any(known.get(name) for name in unheard):  # else the engine's own variable would win
        keys = " and ".join(ENVIRONMENT[name] for name in unheard)
        other_way = f", or write {keys} into config.yaml and run `kill -HUP {pid}`"
    return (
        f"{' and '.join(unheard)} {is_are} not in use: the engine of this home (process {pid}) was already "
        f"running. Stop it with `kill {pid}` and start Flower again{other_way}; no story is lost."
    )

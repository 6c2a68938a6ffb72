"""How this Flower is typed in a shell: ``flower`` when that is it, else the script or program of this copy.

A message that names a command is of use only if it can be typed as it stands. Sentences say `flower ...`; what is
printed goes through ``as_typed``. It starts nothing.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path


def as_typed(text: str) -> str:
    """Returns ``text`` with the commands in it, such as `flower check`, as they can be typed here."""
    if "`flower" not in text:
        return text
    name = command_name(os.environ.get("PATH", ""))
    return text.replace("`flower ", f"`{name} ").replace("`flower`", f"`{name}`")


def command_name(search_path: str) -> str:
    """Returns ``flower`` if the shell finds this copy by it, else the shortest name that works."""
    own = Path(sys.prefix, "bin", "flower")
    found = shutil.which("flower", path=search_path)
    if found is not None and os.path.realpath(found) == os.path.realpath(own):
        return "flower"
    script = Path(__file__).parents[1] / "start.sh"
    if script.is_file():
        return "./start.sh" if Path.cwd() == script.parent else str(script)
    return str(own) if own.is_file() else f"{sys.executable} -m flower"

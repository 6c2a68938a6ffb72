"""Which packages Flower asks for, from ``setup.cfg``: the one place where they are written down."""

from __future__ import annotations

import configparser
from collections.abc import Iterable

LATER = "hnswlib"  # compiled in most places, and nothing waits for it
DEVELOPERS = ("test", "model")  # their tools use parts of packages that playing never needs


def requirements(setup_cfg: str, extras: Iterable[str]) -> list[str]:
    """Returns the requirements of Flower and of ``extras``, a line each, all but the one that comes later."""
    config = configparser.ConfigParser()
    config.read_string(setup_cfg)
    texts = [config["options"]["install_requires"]]
    texts += [config["options.extras_require"][extra] for extra in extras]
    lines = [line.strip() for text in texts for line in text.splitlines()]
    return [line for line in lines if line and not line.startswith("#") and line.split()[0] != LATER]

"""Flower: a roleplay engine for the terminal.

Two processes. The engine (``flower.engine``) owns all state: stories, lore, memory,
models and keys. The TUI (``flower.tui``) owns one screen. Between them goes one WebSocket
with typed JSON messages, defined once in ``flower.protocol.messages``.

    cli         the ``flower`` command            shell/    all that it can do
    launch      starts an engine and joins it     home      the user's directory
    protocol/   every message, both ways          settings/ ``config.yaml`` as checked values
    client/     what speaks to an engine          service/  Flower as a service of systemd
    limits      bounds that modules share         errors    the error family
    file_io     files read and written safely     text      texts cleaned, cut, counted
    machine     memory, battery, kind of system   privacy   libraries that report home are kept from it
    installation  this copy: its build, its name in a shell
    installer/  what ``start.sh`` sets up         assets/   worlds, characters and rules of the package

In each process tasks turn the outside world into events; pure functions turn events into new state
and effects; the tasks carry the effects out. Nothing that computes touches the outside, nothing that
touches the outside decides, and everything that can grow has a limit.
"""

import os

from flower.installation import build_of
from flower.privacy import keep_quiet

keep_quiet(os.environ)  # before any library is imported, in every process

__version__ = "0.1.0"
BUILD = build_of(os.path.dirname(os.path.dirname(__file__)), __version__)  # as this process was loaded

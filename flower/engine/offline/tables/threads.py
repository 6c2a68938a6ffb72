"""Complications in two beats. Data only.

A thread opens with a passage that holds its ``mark``. When the next reply finds the mark in the last
one, it plays ``met`` if the player turned towards the thing and ``ignored`` if not. Later replies
never open the same thread again while its mark is still in sight.
"""

from __future__ import annotations

from flower.engine.offline.tables.thread import Thread
from flower.engine.offline.tables.threads_anywhere import ANYWHERE
from flower.engine.offline.tables.threads_by_world import BY_WORLD

THREADS: tuple[Thread, ...] = (*ANYWHERE, *BY_WORLD)

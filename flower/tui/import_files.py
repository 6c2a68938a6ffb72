"""``/import PATH``: files of the machine the screen runs on, on their way to the engine; ``/fetch NAME``: the way back.

What reads the disk and the network of it; the screen's state only knows that it was asked for.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable
from pathlib import Path

import trio

from flower.errors import FlowerError, printable_line

TELL_EVERY_S = 0.5
LISTED_MOST = 200  # paths offered for what was typed
DETAILS_SHOWN = 6  # of what went wrong, or is to be known


def paths_at(typed: str) -> tuple[str, ...]:
    """Returns what on the disk begins with ``typed``, written the way it was begun; nothing hidden."""
    folder, slash, begun = typed.rpartition("/")
    place = Path(f"{folder}{slash}" or ".").expanduser()
    found: list[str] = []
    try:
        with os.scandir(place) as entries:
            for entry in entries:
                if not entry.name.startswith(begun) or (entry.name[:1] == "." and not begun):
                    continue
                if entry.name.isprintable():
                    found.append(f"{folder}{slash}{entry.name}{'/' if entry.is_dir() else ''}")
                if len(found) > 10 * LISTED_MOST:
                    break
    except OSError:
        return ()
    return tuple(sorted(found)[:LISTED_MOST])


async def bring(
    typed: str, engine_url: Callable[[], str], token: str | None, tell: Callable[[str, str], None]
) -> None:
    """Imports what is at the paths in ``typed``; ``tell`` gets sentences and what kind of news they are."""
    from flower.client.import_upload import UploadSummary, Wishes, files_in, send  # needed by few

    try:
        paths, me = _parsed(typed)
        files = await trio.to_thread.run_sync(files_in, paths)
        summary = UploadSummary()
        told = trio.current_time()
        async for sent in send(files, engine_url, token, Wishes(me)):
            summary.add(sent)
            if trio.current_time() >= told + TELL_EVERY_S and sent.done < sent.total:
                told = trio.current_time()
                tell(f"Importing {sent.done} of {sent.total}: {printable_line(sent.path.name)}", "")
    except FlowerError as error:
        tell(f"✗ {error}", "bad")
        return
    details = (summary.problems + summary.items + summary.notices)[:DETAILS_SHOWN]
    mark, kind = ("✗", "bad") if summary.problems else ("✓", "good")
    tell("\n".join([f"{mark} {summary.sentence}", *details]), kind)


async def fetch(
    name: str, engine_url: Callable[[], str], token: str | None, tell: Callable[[str, str], None]
) -> None:
    """Brings an export of that name into the folder this program runs in; ``tell`` as in ``bring``."""
    from flower.client import export_fetch  # needed by few

    try:
        path = export_fetch.place_of(name, "-").absolute()
        await export_fetch.fetch(name, path, engine_url, token)
    except FlowerError as error:
        tell(f"✗ {error}", "bad")
        return
    tell(f"✓ Written: {printable_line(str(path))}", "good")


def _parsed(typed: str) -> tuple[list[Path], str]:
    """Returns paths and the player's name in ``[--me NAME] PATH…``; a path with spaces needs no quotes."""
    text = typed.strip()
    me = ""
    if text.startswith("--me "):
        words = _split(text)
        me, rest = (words[1], words[2:]) if len(words) > 2 else ("", [])
        return [Path(word).expanduser() for word in rest], me
    whole = Path(text).expanduser()
    if whole.exists():
        return [whole], me
    paths = [Path(word).expanduser() for word in _split(text)]
    return (paths if any(path.exists() for path in paths) else [whole]), me


def _split(text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError as error:  # a quotation mark that is never closed
        raise FlowerError(f"{text}: {error}".lower()) from error

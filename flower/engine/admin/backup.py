"""Copies of the database: whole, checked, a bounded number, and the way back from one.

Owns the folder ``backups/`` in the home. A copy is made with SQLite's backup API from a snapshot, so
it is whole while the engine writes; it appears under its name only when it has been checked and is on
disk. Copying the file by hand would miss what is still in the write-ahead log.
"""

from __future__ import annotations

import contextlib
import shutil
import time
from calendar import timegm
from collections.abc import Iterable
from pathlib import Path

from flower import limits
from flower.engine.store.sqlite import file
from flower.errors import StoreError
from flower.home import Home

BACKUP_INTERVAL_S = 24 * 3600.0
BACKUPS_DAILY = 7
BACKUPS_DAILY_MIN = 2
BACKUP_DISK_SHARE = 4  # daily backups together take at most this part of what is free
BACKUP_DAILY_BYTES = 1024 * limits.MIB  # written a day: a card bears some hundred times its size
BACKUPS_OTHER = 3  # of each other kind: by hand, before an update, before a restore

FOLDER = "backups"
DAILY = "daily"
BY_HAND = "by-hand"
BEFORE_RESTORE = "before-restore"

_STAMP, _STAMP_CHARS = "%Y%m%d-%H%M%S", 15


def folder(home: Home) -> Path:
    """Returns where a home's backups are."""
    return home.root / FOLDER


def check_target(home: Home, target: Path) -> None:
    """Raises ``StoreError`` unless a backup may be written to ``target``.

    A new name is always right, and a backup made before may be replaced. Anything else that is there is somebody's:
    the stories themselves, the settings, a text. Inside the home only the folder of backups takes any.
    """
    real = target.resolve()
    if real.is_relative_to(home.root.resolve()) and real.parent != folder(home).resolve():
        raise StoreError(
            f"{target} is inside Flower's home; choose a place elsewhere, or leave FILE out"
        )
    if real.exists() and not file.is_copy(real):
        raise StoreError(f"{target} exists and is no backup; choose another name or move it away")


def make(database: Path, target: Path) -> int:
    """Copies a database, in use or not, to the file ``target``; returns the copy's size in bytes.

    Raises ``StoreError``; then there is no ``target``, or still the old one.
    """
    draft = target.with_name(target.name + ".new")
    try:
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _check_room(database, target.parent)
        draft.unlink(missing_ok=True)
        file.copy(database, draft)
        file.make_private(draft)
        size = draft.stat().st_size
        file.replace_durably(draft, target)
    except (OSError, file.UnreadableError) as error:
        with contextlib.suppress(OSError):
            draft.unlink(missing_ok=True)
        raise StoreError(f"no backup of {database} was made at {target}: {_text(error)}") from error
    return size


def _check_room(database: Path, target: Path) -> None:
    needed = sum(path.stat().st_size for path in file.with_log(database) if path.exists())
    free = shutil.disk_usage(target).free
    if free < needed + limits.DISK_LOW_BYTES:
        raise OSError(None, f"{needed // limits.MIB + 1} MiB needed, {free // limits.MIB} MiB free")


def _text(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)


# --- the folder ---------------------------------------------------------------------------------


def path_for(home: Home, reason: str, now: float) -> Path:
    """Returns a new file name. ``now`` is Unix time in seconds.

    Names sort in the order in which the backups were made, whatever the clock does: after it went back,
    names go on from the newest one. Else the newest backup would look like the oldest and be let go.
    """
    newest = max((path.name[len("flower-") :][:_STAMP_CHARS] for path in listed(home)), default="")
    stamp = time.strftime(_STAMP, time.gmtime(now))
    if stamp <= newest:
        with contextlib.suppress(ValueError, OverflowError):  # a name that somebody made up
            stamp = time.strftime(_STAMP, time.gmtime(timegm(time.strptime(newest, _STAMP)) + 1))
    path = folder(home) / f"flower-{stamp}-{reason}.db"
    if path.exists():
        raise StoreError(f"{path} is in the way; move it elsewhere and try again")
    return path


def listed(home: Home, reason: str = "") -> list[Path]:
    """Returns the backups, newest first; with a ``reason`` only those."""
    return sorted(folder(home).glob(f"flower-*{reason}.db"), reverse=True)


def make_kept(home: Home, reason: str, now: float) -> Path:
    """Makes a backup in the folder and lets old ones of the same kind go; raises ``StoreError``."""
    path = path_for(home, reason, now)
    forget(unfinished(home))
    make(home.database, path)
    older = listed(home, f"-{reason}")
    count = BACKUPS_OTHER
    if reason == DAILY:
        older_bytes = sum(copy.stat().st_size for copy in older)
        count = kept_daily(path.stat().st_size, shutil.disk_usage(path.parent).free + older_bytes)
    forget(older[count:])
    return path


def unfinished(home: Home) -> list[Path]:
    """Returns what engines left that were stopped while they made a backup: the draft and SQLite's journal of it."""
    return [
        path
        for ending in ("", "-journal", "-wal", "-shm")
        for path in folder(home).glob(f"*.new{ending}")
    ]


def kept_daily(size: int, free: int) -> int:
    """Returns how many daily backups of ``size`` bytes a disk with ``free`` bytes can bear, the new one included.

    Seven where they are small beside the disk; fewer where they would take more than a quarter of what is free,
    but never less than two: the newest one may be of a day on which something went wrong.
    """
    borne = free // BACKUP_DISK_SHARE // max(1, size)
    return max(BACKUPS_DAILY_MIN, min(BACKUPS_DAILY, borne))


def interval_s(size: int) -> float:
    """Returns the seconds between two daily backups: a day, longer where that would write more than a GiB a day."""
    return BACKUP_INTERVAL_S * max(1.0, size / BACKUP_DAILY_BYTES)


def database_size(home: Home) -> int:
    """Returns the bytes that a backup will take."""
    return sum(path.stat().st_size for path in file.with_log(home.database) if path.exists())


def forget(paths: Iterable[Path]) -> None:
    """Deletes backups that are no longer kept; one that cannot be deleted stays."""
    for path in paths:
        with contextlib.suppress(OSError):  # it is only in the way, and is tried again next time
            path.unlink()


def is_due(home: Home, now: float) -> bool:
    """Whether a day has passed since the last daily backup and the database has changed since.

    With a clock that has gone back since then, nobody knows: one backup more is made.
    """
    try:
        changed = max(path.stat().st_mtime for path in file.with_log(home.database) if path.exists())
        last = next((path.stat().st_mtime for path in listed(home, f"-{DAILY}")), 0.0)
    except (OSError, ValueError):
        return False
    return last > now or (changed > last and now - last >= interval_s(database_size(home)))


# --- the way back -------------------------------------------------------------------------------


def restore(home: Home, source: Path, now: float) -> Path | None:
    """Makes the home's database equal to ``source``; returns where the one before is kept.

    No engine may run. Raises ``StoreError``; then nothing has changed.
    """
    file.check_usable(source)
    before = _set_aside(home, now) if home.database.exists() else None
    draft = home.database.with_name("flower.db.restored")
    make(source, draft)
    file.fold_log(
        home.database
    )  # a power cut from here on leaves the old stories or the new ones, whole
    try:
        for path in home.database.parent.glob(home.database.name + "-*"):
            path.unlink()  # the log of the old database must not be read into the new one
        file.replace_durably(draft, home.database)
        for index in home.index.iterdir():
            if index.suffix in (".hnsw", ".marks", ".json"):
                index.unlink()  # made from rows that are gone
    except OSError as error:
        raise StoreError(f"{home.database} could not be replaced: {_text(error)}") from error
    return before


def _set_aside(home: Home, now: float) -> Path:
    """Keeps the present database: as a backup, or as it is if it is too damaged for that."""
    try:
        return make_kept(home, BEFORE_RESTORE, now)
    except StoreError:
        return keep_damaged(home, now)


def keep_damaged(home: Home, now: float) -> Path:
    """Copies a damaged database with its log beside the backups; returns where to."""
    target = path_for(home, "damaged", now).with_suffix(".damaged")
    try:
        target.parent.mkdir(mode=0o700, exist_ok=True)
        for source in file.with_log(home.database):
            if source.exists():
                shutil.copy(source, target.with_name(target.name + source.name[len("flower.db") :]))
    except OSError as error:
        raise StoreError(f"{home.database} could not be kept at {target}: {_text(error)}") from error
    return target

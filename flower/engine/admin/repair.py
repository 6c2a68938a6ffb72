"""``flower check``: looks a home's database through, and repairs it when asked to.

Keeps the damaged database before anything is changed. What is found and mended is in ``store.recovery``.
"""

from __future__ import annotations

from flower.engine.admin import backup
from flower.engine.store import file, recovery
from flower.engine.store.recovery import RepairReport, look
from flower.errors import StoreError
from flower.home import Home


def repair(home: Home, now: float) -> RepairReport:
    """Looks through and mends; no engine may run. Raises ``StoreError`` if nothing can be done."""
    before = look(home.database)
    if before.sound:
        return before
    backup_path = backup.keep_damaged(home, now)
    lines = [*before.lines, f"The database as it was is kept at {backup_path}."]
    try:
        lines += recovery.mend(home.database)
    except StoreError as error:
        lines.append(f"It cannot be mended in place ({error}); saving what can be read.")
    after = look(home.database)
    if not after.sound:
        lines += _salvage(home)
        after = look(home.database)
        newest = next(iter(backup.listed(home)), None)
        if newest is not None:
            lines.append(f"If too much is missing: `flower restore {newest}` is the newest backup.")
    return RepairReport(after.sound, (*lines, *after.lines))


def _salvage(home: Home) -> list[str]:
    """Puts a new database with every row that can be read in the old one's place."""
    draft = home.database.with_name("flower.db.salvaged")
    try:
        lines = recovery.salvage(home.database, draft)
        for path in home.database.parent.glob(home.database.name + "-*"):
            path.unlink()
        file.replace_durably(draft, home.database)
    except (StoreError, OSError) as error:
        newest = next(iter(backup.listed(home)), None)
        hint = f"`flower restore {newest}` brings the newest one back" if newest else "there is none"
        raise StoreError(
            f"{home.database} cannot be read any more ({error}); only a backup helps: {hint}"
        ) from error
    return lines

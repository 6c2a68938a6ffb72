"""The commands that look after a home: backup, restore, check, token, models.

Each prints what it did and returns an exit code; what cannot be done is a ``FlowerError`` with a
sentence. Those that change the database claim the home, so no engine can be running meanwhile.
"""

from __future__ import annotations

import os
import re
import signal
import sys
import time
from pathlib import Path

import trio

from flower import launch, limits
from flower.engine.admin import backup
from flower.engine.assets.loader import SHIPPED, load_assets
from flower.engine.provider.llamacpp import fetch, gguf, sizes
from flower.engine.provider.llamacpp.files import completes_only, core_count, read_memory
from flower.engine.provider.text_prompts import BASE_NOTE
from flower.engine.sessions.fetches import Reporter
from flower.engine.store.sqlite import file, recovery
from flower.engine.store.sqlite import file as database_file
from flower.engine.store.sqlite.recovery import RepairReport, look
from flower.errors import ConfigError, LaunchError, StoreError, UsageError, printable, printable_line
from flower.home import Home, load_config, make_token, read_token
from flower.installation import as_typed

ELSEWHERE = "the stories are in PostgreSQL (`store` in the settings)"


def back_up(home: Home, file: Path | None) -> int:
    """Makes a backup, in the home without ``file``; returns the exit status. Raises ``StoreError``."""
    if load_config(home, os.environ).store:
        raise StoreError(f"{ELSEWHERE}: pg_dump makes backups of them, `flower migrate` a copy")
    if not home.database.exists():
        raise StoreError(f"there are no stories in {home.root} yet")
    if file is not None and file.is_dir():
        file = file / backup.path_for(home, backup.BY_HAND, time.time()).name
    if file is None:
        file = backup.make_kept(home, backup.BY_HAND, time.time())
    else:
        backup.check_target(home, file)
        backup.make(home.database, file)
    print(f"Backup: {printable_line(file)} ({_size(file)})")
    if not database_file.is_private(file):
        print("Others may be able to read it: its file system does not keep permissions.")
    return 0


def show_backups(home: Home) -> int:
    """Prints the backups of a home, newest first; returns the exit status."""
    paths = backup.listed(home)
    if not paths:
        print(
            as_typed(
                "There are no backups here yet; the engine makes one a day, `flower backup` one now."
            )
        )
        return 0
    print(as_typed("Backups, newest first; `flower restore FILE` goes back to one:"))
    for path in paths:
        print(f"  {printable_line(path)}  {_size(path)}")
    return 0


def restore(home: Home, file: Path) -> int:
    """Goes back to a backup, keeps what was there; returns the exit status. Raises ``StoreError``."""
    if load_config(home, os.environ).store:
        raise StoreError(f"{ELSEWHERE}: pg_restore brings a backup of them back")
    if not file.exists() and (backup.folder(home) / file.name).exists():
        file = backup.folder(home) / file.name
    if not file.exists():
        raise StoreError(f"there is no file {file}; `flower restore` lists the backups of this home")
    with launch.claim(home):
        before = backup.restore(home, file, time.time())
    print(f"Restored from {printable_line(file)}.")
    if before is not None:
        print(f"The stories as they were are kept in {printable_line(before)}.")
    return 0


def check(home: Home) -> int:
    """Repairs the stories if no engine runs, else only looks; names every asset that cannot be used."""
    problems = load_assets((SHIPPED, home.assets)).problems
    for problem in problems:
        print(f"assets: {printable_line(problem)}")
    return max(_check_stories(home), int(bool(problems)))


def _check_stories(home: Home) -> int:
    if load_config(home, os.environ).store:
        print(f"Not checked: {ELSEWHERE}; its own pg_amcheck looks them through.")
        return 0
    if not home.database.exists():
        print("There are no stories here yet.")
        return 0
    try:
        with launch.claim(home, wait_s=0):
            report = repair(home, time.time())
    except LaunchError as error:  # an engine runs, or the disk cannot be written to
        report = recovery.look(home.database)
        if not report.sound:
            print(f"Nothing was repaired: {printable_line(error)}.")
    for line in report.lines:
        print(as_typed(printable_line(line)))
    return 0 if report.sound else 1


def show_token(home: Home, *, new: bool) -> int:
    """Prints the token in force, made when there is none; ``new`` makes another one."""
    if load_config(home, os.environ).engine.token:
        if new:
            raise ConfigError("the token is engine.token in config.yaml; change it there")
        print("Clients need the token that is engine.token in config.yaml.")
        return 0
    token = make_token(home) if new else read_token(home) or make_token(home)
    if new and (pid := launch.running_process(home)) is not None:
        os.kill(pid, signal.SIGHUP)
        print(
            "The running engine takes the new token over; who came in with the old one is asked again.",
            file=sys.stderr,
        )
    print(printable_line(token))
    return 0


def _size(path: Path) -> str:
    return f"{path.stat().st_size / limits.MIB:.1f} MiB"


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


# --- Which models this machine can run, and getting one.


WHERE_MODELS_ARE = (
    "Take a file whose name says instruct, it or chat, and begin with Q4_K_M. `/models get` in the program and "
    "docs/local-models.md say where people get them and how to check them.\n"
    "What runs files: ./start.sh --setup local, once."
)


def models(home: Home, source: str, sha256: str) -> int:
    """Prints what fits, or gets the file of ``source``; returns the exit code. Raises ``FlowerError``."""
    if sha256 and not re.fullmatch(r"[0-9a-fA-F]{64}", sha256):
        raise UsageError("--sha256 takes 64 digits out of 0-9 and a-f")
    if source:
        return _get_model(home, source, sha256)
    memory_bytes, _ = read_memory()
    print(printable(sizes.advice(memory_bytes, core_count(), ())))
    print(WHERE_MODELS_ARE)
    for path in sorted(home.models.glob("*.gguf")):
        print(
            f"  {printable_line(path.name)}: {printable_line(gguf.problem_of(path) or _kind_of(path))}"
        )
    return 0


def _kind_of(path: Path) -> str:
    """Returns what a file is that may be a model."""
    return f"a {BASE_NOTE}" if completes_only(path) else "a model"


def _get_model(home: Home, source: str, sha256: str) -> int:
    name, path = fetch.file_name(source), Path(source).expanduser()
    reporter = Reporter(
        name, lambda line: print(printable_line(line.partition(";")[0]), file=sys.stderr, flush=True)
    )

    async def work() -> fetch.Fetched:
        if source.lower().startswith(("http://", "https://")):
            return await fetch.fetch(source, home.models, reporter.report, sha256=sha256)
        return await fetch.take(path, home.models, sha256=sha256)

    fetched = trio.run(work)
    print(
        f"{printable_line(fetched.path)} ({fetched.size_bytes / 1e9:.1f} GB)\nSHA-256 {printable_line(fetched.sha256)}"
    )
    return 0

"""``flower import PATH…``: files and folders into the library of a home, with a bar and a table."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import trio

from flower.client.import_upload import NOTICES_SHOWN, UploadSummary, Wishes, files_in, send
from flower.errors import only, printable_line

BAR_COLUMNS = 30


def run(paths: Sequence[Path], engine_url: Callable[[], str], token: str | None, wishes: Wishes) -> int:
    """Imports everything at ``paths``; returns the exit code: 1 if a file could not be imported.

    Raises ``FlowerError`` with a sentence.
    """
    files = files_in(paths)
    try:
        summary = trio.run(_send, files, engine_url, token, wishes)
    except KeyboardInterrupt:
        print("Stopped; what was imported stays.", file=sys.stderr)
        return 130
    except BaseExceptionGroup as group:
        raise only(group) from group
    _tell(summary)
    return 1 if summary.problems else 0


async def _send(
    files: Sequence[Path], engine_url: Callable[[], str], token: str | None, wishes: Wishes
) -> UploadSummary:
    summary = UploadSummary()
    async for sent in send(files, engine_url, token, wishes):
        summary.add(sent)
        _show(sent.path.name, sent.done, sent.total)
    return summary


def _tell(summary: UploadSummary) -> None:
    rows = summary.rows
    if sys.stderr.isatty():
        print("\r\x1b[K", end="", file=sys.stderr, flush=True)
    if rows:
        width = max(len(row[0]) for row in rows)
        print(f"{'':{width}}   new  updated  already here  failed")
        for kind, new, updated, here, failed in rows:
            print(f"{printable_line(kind):{width}}  {new:>4}  {updated:>7}  {here:>12}  {failed:>6}")
    for notice in summary.notices[:NOTICES_SHOWN]:
        print(f"- {printable_line(notice)}")
    if len(summary.notices) > NOTICES_SHOWN:
        print(f"- and {len(summary.notices) - NOTICES_SHOWN} more remarks")
    for problem in summary.problems:
        print(f"✗ {printable_line(problem)}", file=sys.stderr)
    print(f"{'✗' if summary.problems else '✓'} {printable_line(summary.sentence)}")


def _show(what: str, done: int, total: int) -> None:
    if not sys.stderr.isatty():
        return
    filled = BAR_COLUMNS * done // total if total else 0
    bar = "#" * filled + "." * (BAR_COLUMNS - filled)
    print(
        f"\r\x1b[K[{bar}] {done}/{total} {printable_line(what)[:40]}",
        end="",
        file=sys.stderr,
        flush=True,
    )

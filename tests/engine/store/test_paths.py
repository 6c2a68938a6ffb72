"""The ways kept in memory are what a walk through the database gives.

Under any commands they are compared by ``test_tree_laws``, whose connections keep ways; here is what it does not reach.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import trio

from flower.engine.store import paths, stories, trash
from flower.engine.store.connection import Connection
from flower.errors import CommandError
from tests.stores import KINDS, opened

S = "s"


def played(db: Connection, lines: int, session_id: str = S) -> list[int]:
    """Begins a story of so many lines, each with a reply; returns the messages."""
    stories.create_session(db, session_id, "w", "c", "", 1.0)
    last: int | None = None
    ids = []
    for number in range(2 * lines):
        role = ("user", "assistant")[number % 2]
        last = stories.append(db, session_id, last, role, f"{number}", "complete", now=1.0)
        ids.append(last)
    return ids


def walked(db: Connection, leaf: int) -> list[int]:
    found = [message.id for message in stories.path(db, leaf)]
    assert list(paths.way(db, leaf).ids) == found
    return found


def test_other_variants_and_branches_are_ways_of_their_own(db: Connection) -> None:
    """Back and forth between the ends of a tree, from every end to every other."""
    ids = played(db, 4)
    variant = stories.append(db, S, ids[-2], "assistant", "other", "complete", now=1.0)
    branch = stories.append(db, S, ids[2], "assistant", "branch", "complete", now=1.0)
    below = stories.append(db, S, branch, "user", "on", "complete", now=1.0)
    ends = [ids[-1], variant, below, branch, ids[0]]
    for first in ends:
        for second in ends:
            assert walked(db, first)[-1] == first
            assert walked(db, second)[-1] == second
    assert paths.way(db, variant).reply == variant
    assert paths.way(db, below).reply == branch
    assert (paths.way(db, below).lines, paths.way(db, ids[-1]).lines) == (3, 4)


def test_a_snapshot_of_a_way_stays_as_it_was(db: Connection) -> None:
    """Recall reads it while the story goes on."""
    ids = played(db, 2)
    seen = paths.way(db, ids[-1]).ids
    more = stories.append(db, S, ids[-1], "user", "more", "complete", now=1.0)
    other = stories.append(db, S, ids[0], "assistant", "other", "complete", now=1.0)
    assert more in paths.way(db, more).ids
    assert other in paths.way(db, other).ids
    assert (list(seen), len(seen)) == (ids, 4)
    assert more not in seen


def test_only_so_much_is_kept(db: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    """The way asked for longest ago goes first; a single one may be as long as it is."""
    monkeypatch.setattr("flower.engine.store.paths.PATH_IDS_KEPT", 9)
    first, second, third = (played(db, 2, name) for name in "abc")
    for ids in (first, second, first, third):
        assert walked(db, ids[-1]) == ids
    kept: paths.Paths = db.paths  # type: ignore[attr-defined]
    assert list(kept._saved) == ["a", "c"]


def test_only_what_is_new_is_read(db: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    """After two more messages three rows are read, however long the story is."""
    ids = played(db, 30)
    paths.way(db, ids[-1])
    read = []
    walk = paths._walked
    monkeypatch.setattr(paths, "_walked", lambda *args: read.append(walk(*args)) or read[-1])
    line = stories.append(db, S, ids[-1], "user", "more", "complete", now=1.0)
    reply = stories.append(db, S, line, "assistant", "", "streaming", now=1.0)
    assert paths.way(db, reply).lines == 31
    assert paths.way(db, line).reply == ids[-1]
    assert [len(rows) for rows in read] == [3]


def test_ids_that_are_given_again_are_other_messages(db: Connection) -> None:
    """What was deleted for good is on no way."""
    kept = played(db, 1, "kept")
    gone = played(db, 2)
    assert walked(db, gone[-1]) == gone
    trash.delete(db, S, 2.0)
    trash.purge(db, S)
    again = played(db, 3)
    assert walked(db, again[-1]) == again
    assert walked(db, kept[-1]) == kept


@pytest.mark.parametrize("kind", KINDS)
async def test_what_was_rolled_back_is_on_no_way(kind: str, tmp_path: Path) -> None:
    """An id that a failed transaction had given belongs to whoever gets it next."""
    database = await opened(kind, tmp_path / "flower.db")
    ids = await database.write(played, 1)

    def fails(db: Connection) -> None:
        new = stories.append(db, S, ids[-1], "user", "((an aside))", "complete", now=1.0)
        assert paths.way(db, new).lines == 1
        raise CommandError("No.")

    with pytest.raises(CommandError):
        await database.write(fails)
    line = await database.write(stories.append, S, ids[0], "user", "more", "complete", now=1.0)
    way = await database.read(paths.way, line)
    assert (list(way.ids), way.lines) == ([ids[0], line], 2)
    with trio.move_on_after(5):
        assert await database.read(stories.active_leaf, S) == line
        await database.aclose()

"""Records what an engine of this version asks of PostgreSQL, for tests of the versions that come after it.

    python -m tests.previous.record tests/previous/statements-N.json.gz

To be run once for each change of the schema, before it: N is the number of migrations. A test replays the file against
a newer schema, as an engine that was started before the update would go on. ``stories-11.db.gz`` is the database of a
home in which ``tests/long_story`` was played by the version with eleven migrations, with what that version said of it
in ``stories-11.json``.
"""

from __future__ import annotations

import gzip
import json
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import trio
import trio.testing

from flower.engine.store.postgres import dialect, link
from flower.engine.store.postgres.connection import PostgresConnection
from flower.engine.store.transactions import Inline
from tests import stores
from tests.engine_world import engine_world
from tests.fakes import ScriptedProvider, words

# Of what is recorded: so that ids are known among other numbers.
ENGINE, FIRST_ID = 1_000_000, 1_000_001
LINES = (
    "I light the lamp.",
    "/retry",
    "/variant 1",
    "/edit I light no lamp.",
    "/undo",
    "/redo",
    "/note Keep it short.",
    "/set-state place The mole",
    "/roll 2d6",
    "/pin The bell rings at dusk.",
    "I wait.",
    "/branch other",
    "I look at the tide.",
    "/session list",
    "/session rename The lamp",
    "/session search lamp",
    "/tree",
    "/why",
    "/delete",
    "/persona Ines: A smuggler.",
    "/continue",
)


def main(target: Path) -> None:
    steps: list[Any] = []
    texts = trio.run(_play, steps, clock=trio.testing.MockClock(autojump_threshold=0))
    stores.end()
    data = json.dumps({"steps": steps, "path": texts}, ensure_ascii=False).encode()
    target.write_bytes(gzip.compress(data, mtime=0))
    print(f"{len(steps)} statements, a path of {len(texts)} messages")


async def _play(steps: list[Any]) -> list[str]:
    """Returns the texts of the story that was played."""
    from flower.engine.store import stories

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "flower.db")
        path.touch()
        url = stores.new_url()
        renumbered = f"ALTER TABLE flower.engines ALTER COLUMN number RESTART WITH {ENGINE}"
        stores.cluster().sql(renumbered, url.split("/")[3].split("?")[0])
        database: Any = await stores.opened("postgres", path, Inline(), url)
        _count_from(database._link.held())
        _record(steps)
        provider = ScriptedProvider(words("The tide comes and goes."))
        async with engine_world(path, provider, database=database) as world:
            face = await world.playing()
            for line in LINES:
                if line.startswith("/") and not line.startswith(("/retry", "/edit", "/continue")):
                    await face.say(line)
                else:
                    await face.say_and_wait(line)
            await world.engine.turns.wait_idle()
            assert face.client.session is not None
            played = face.client.session.id
            recorded = steps[:]
            messages = await database.read(stories.active_path, played)
            texts = [message.content for message in messages]
        steps[:] = recorded
        return texts


def _count_from(db: PostgresConnection) -> None:
    for table in sorted(dialect.NUMBERED):
        db.raw.execute(f"ALTER TABLE {table} ALTER COLUMN id RESTART WITH {FIRST_ID}".encode())


def _record(steps: list[Any]) -> None:
    """Has what is asked from now on added to ``steps``: words of a transaction, or statement, values and new id."""
    execute, several, ask = PostgresConnection.execute, PostgresConnection.executemany, link._ask

    def executed(
        self: PostgresConnection, sql: str, values: Sequence[Any] | Mapping[str, Any] = (), /
    ) -> Any:
        if "messages_fts" in sql and self.search_index is not None:
            return execute(self, sql, values)
        statement = dialect.translated(sql)
        known = [_kept(value) for value in dialect.values(statement, values)]
        answer = execute(self, sql, values)
        steps.append([statement.sql, known, answer.lastrowid])
        return answer

    def executed_several(self: PostgresConnection, sql: str, rows: Iterable[Sequence[Any]], /) -> Any:
        each = list(rows)
        steps.extend([dialect.translated(sql).sql, [_kept(v) for v in row], None] for row in each)
        return several(self, sql, each)

    def asked(db: PostgresConnection, sql: str) -> str:
        steps.append("BEGIN" if sql.startswith("BEGIN") else sql)
        return ask(db, sql)

    PostgresConnection.execute = executed  # type: ignore[method-assign]
    PostgresConnection.executemany = executed_several  # type: ignore[method-assign]
    link._ask = asked


def _kept(value: Any) -> Any:
    return {"bytes": value.hex()} if isinstance(value, bytes | bytearray | memoryview) else value


if __name__ == "__main__":
    main(Path(sys.argv[1]))

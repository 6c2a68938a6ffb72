"""The database's schema as ordered migrations. Pure text.

``MIGRATIONS[n]`` takes a database from ``user_version`` n to n + 1. A migration that has been
released is never edited; a change of mind is a new migration.

Messages form a tree: siblings are variants (another reply) or branches (an edited line), and a
session points at its active leaf. ``extra`` columns hold JSON that older or newer versions keep
without understanding it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

from flower.engine.store.passages import PASSAGES_SCHEMA

STORIES_SCHEMA = """
CREATE TABLE sessions (
    id           TEXT PRIMARY KEY,
    world_id     TEXT NOT NULL,
    character_id TEXT NOT NULL,
    title        TEXT NOT NULL DEFAULT '',
    active_leaf  INTEGER REFERENCES messages(id),
    created      REAL NOT NULL,
    updated      REAL NOT NULL,
    extra        TEXT NOT NULL DEFAULT '{}'
);

CREATE TABLE messages (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    session_id TEXT NOT NULL REFERENCES sessions(id) ON DELETE CASCADE,
    parent_id  INTEGER REFERENCES messages(id),
    role       TEXT NOT NULL CHECK (role IN ('system', 'user', 'assistant')),
    content    TEXT NOT NULL,
    status     TEXT NOT NULL,
    model      TEXT NOT NULL DEFAULT '',
    usage      TEXT,
    request    TEXT,
    created    REAL NOT NULL,
    extra      TEXT NOT NULL DEFAULT '{}'
);
CREATE INDEX messages_children ON messages(parent_id);
CREATE INDEX messages_session ON messages(session_id);
CREATE INDEX messages_streaming ON messages(status) WHERE status = 'streaming';
CREATE UNIQUE INDEX messages_request ON messages(session_id, request) WHERE request IS NOT NULL;

CREATE TABLE selections (
    client       TEXT PRIMARY KEY,
    model        TEXT NOT NULL,
    world_id     TEXT NOT NULL,
    character_id TEXT NOT NULL,
    session_id   TEXT NOT NULL,
    rules        TEXT NOT NULL,
    nsfw         INTEGER NOT NULL,
    updated      REAL NOT NULL
);

CREATE TABLE model_params (
    model  TEXT PRIMARY KEY,
    params TEXT NOT NULL
);

CREATE TABLE attached_lore (
    id       INTEGER PRIMARY KEY AUTOINCREMENT,
    world_id TEXT NOT NULL,
    text     TEXT NOT NULL,
    created  REAL NOT NULL
);
"""

# Stories that were deleted stay for a while; the time says when that was.
TRASH_SCHEMA = """
ALTER TABLE sessions ADD COLUMN deleted REAL;
CREATE INDEX sessions_deleted ON sessions(deleted) WHERE deleted IS NOT NULL;
"""

# Walking the tree: ``chosen`` is the child a message's story went on with last, ``root`` the same for
# the beginning of a story. ``deleted_with`` is the message whose deletion hid this one. A named branch
# that is not the session's current one ends at its ``leaf``. Replies are searchable once they ended:
# indexing the growing text twice a second would wear out an SD card.
TREE_SCHEMA = """
ALTER TABLE messages ADD COLUMN chosen INTEGER;
ALTER TABLE messages ADD COLUMN deleted REAL;
ALTER TABLE messages ADD COLUMN deleted_with INTEGER;
CREATE INDEX messages_deleted ON messages(session_id, deleted) WHERE deleted IS NOT NULL;
CREATE INDEX messages_roots ON messages(session_id) WHERE parent_id IS NULL;
ALTER TABLE sessions ADD COLUMN root INTEGER;
ALTER TABLE sessions ADD COLUMN branch TEXT NOT NULL DEFAULT '';
ALTER TABLE sessions ADD COLUMN pinned INTEGER NOT NULL DEFAULT 0;
ALTER TABLE sessions ADD COLUMN archived INTEGER NOT NULL DEFAULT 0;
CREATE TABLE branches (
    session_id TEXT NOT NULL REFERENCES sessions(id) ON DELETE CASCADE,
    name       TEXT NOT NULL COLLATE NOCASE,
    leaf       INTEGER,
    created    REAL NOT NULL,
    PRIMARY KEY (session_id, name)
);
CREATE VIRTUAL TABLE messages_fts USING fts5 (
    content, content = 'messages', content_rowid = 'id', tokenize = 'porter unicode61 remove_diacritics 2'
);
CREATE TRIGGER messages_indexed AFTER INSERT ON messages WHEN new.status != 'streaming' BEGIN
    INSERT INTO messages_fts (rowid, content) VALUES (new.id, new.content);
END;
CREATE TRIGGER messages_reindexed AFTER UPDATE OF content, status ON messages
WHEN old.status != 'streaming' OR new.status != 'streaming' BEGIN
    INSERT INTO messages_fts (messages_fts, rowid, content)
    SELECT 'delete', old.id, old.content WHERE old.status != 'streaming';
    INSERT INTO messages_fts (rowid, content)
    SELECT new.id, new.content WHERE new.status != 'streaming';
END;
CREATE TRIGGER messages_unindexed AFTER DELETE ON messages WHEN old.status != 'streaming' BEGIN
    INSERT INTO messages_fts (messages_fts, rowid, content) VALUES ('delete', old.id, old.content);
END;
INSERT INTO messages_fts (rowid, content) SELECT id, content FROM messages WHERE status != 'streaming';
"""

# Folders whose files are a world's lore, and summaries of what left the history of a story.
MEMORY_SCHEMA = """
CREATE TABLE synced_folders (
    world_id TEXT PRIMARY KEY,
    path     TEXT NOT NULL
);
CREATE TABLE summaries (
    last_id INTEGER PRIMARY KEY REFERENCES messages(id) ON DELETE CASCADE,
    text    TEXT NOT NULL,
    created REAL NOT NULL
);
"""

MIGRATIONS: tuple[str, ...] = (
    STORIES_SCHEMA + PASSAGES_SCHEMA,
    TRASH_SCHEMA,
    TREE_SCHEMA,
    MEMORY_SCHEMA,
)


def statements(script: str) -> Iterator[str]:
    """Yields the statements of ``script`` one by one, triggers whole.

    ``executescript`` would commit the transaction that makes a migration atomic.
    """
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
    if statement.strip():
        raise ValueError(f"the script ends inside a statement: {statement.strip()[:80]}")

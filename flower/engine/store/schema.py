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

# The weights of bm25 are those of scope_key, title and text: a word of the title says what a passage is
# about. scope_key is one token of the keyword index, so that other scopes' rows are never looked at.
PASSAGES_SCHEMA = """
CREATE TABLE passages (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    kind TEXT NOT NULL CHECK (kind IN ('lore', 'memory')),
    scope TEXT NOT NULL,
    scope_key TEXT NOT NULL,
    source TEXT NOT NULL,
    position INTEGER NOT NULL,
    title TEXT NOT NULL,
    text TEXT NOT NULL,
    hash BLOB NOT NULL,
    message_id INTEGER,
    created REAL NOT NULL,
    importance REAL NOT NULL DEFAULT 0,
    pinned INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE sources (
    scope TEXT NOT NULL,
    source TEXT NOT NULL,
    digest BLOB NOT NULL,
    PRIMARY KEY (scope, source)
) WITHOUT ROWID;
CREATE INDEX passages_by_scope ON passages (scope);
CREATE INDEX passages_by_source ON passages (scope, source);
CREATE INDEX passages_pinned ON passages (scope) WHERE pinned;
CREATE INDEX passages_by_hash ON passages (hash);
CREATE INDEX passages_by_message ON passages (message_id) WHERE message_id IS NOT NULL;
CREATE TABLE vectors (
    hash BLOB NOT NULL,
    model_id TEXT NOT NULL,
    vector BLOB NOT NULL,
    UNIQUE (hash, model_id)
);
CREATE VIRTUAL TABLE passages_fts USING fts5 (
    scope_key, title, text, content = 'passages', content_rowid = 'id',
    tokenize = 'porter unicode61 remove_diacritics 2'
);
INSERT INTO passages_fts (passages_fts, rank) VALUES ('rank', 'bm25(0.0, 2.0, 1.0)');
CREATE TRIGGER passages_inserted AFTER INSERT ON passages BEGIN
    INSERT INTO passages_fts (rowid, scope_key, title, text)
    VALUES (new.id, new.scope_key, new.title, new.text);
END;
CREATE TRIGGER passages_deleted AFTER DELETE ON passages BEGIN
    INSERT INTO passages_fts (passages_fts, rowid, scope_key, title, text)
    VALUES ('delete', old.id, old.scope_key, old.title, old.text);
    DELETE FROM vectors WHERE hash = old.hash
        AND NOT EXISTS (SELECT 1 FROM passages WHERE hash = old.hash);
END;
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

# The text that a reply has grown by, flush by flush. ``place`` is the message's id times 2**20 plus the
# number of characters before the part: one number is the key of the table itself, so that a flush changes
# one page, and adding behind the last row splits none. With a key of two columns it was a fifth more.
GROWTH_SCHEMA = """
CREATE TABLE growth (
    place INTEGER PRIMARY KEY,
    text  TEXT NOT NULL
);
CREATE TRIGGER messages_growth AFTER DELETE ON messages WHEN old.status = 'streaming' BEGIN
    DELETE FROM growth WHERE place BETWEEN old.id << 20 AND (old.id << 20) + 1048575;
END;
"""

# Prompts that were carried out, by the ids their clients gave them, and lines that wait for a reply to end.
PROMPTS_SCHEMA = """
CREATE TABLE requests (
    client  TEXT NOT NULL,
    request TEXT NOT NULL,
    prompt  BLOB NOT NULL,
    created REAL NOT NULL,
    PRIMARY KEY (client, request)
) WITHOUT ROWID;
CREATE INDEX requests_by_age ON requests(created);
CREATE TABLE waiting_lines (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    session_id TEXT NOT NULL REFERENCES sessions(id) ON DELETE CASCADE,
    line       TEXT NOT NULL,
    request    TEXT,
    created    REAL NOT NULL
);
CREATE INDEX waiting_lines_session ON waiting_lines(session_id);
"""

# What was brought along from other programs. ``originals`` are the files as they were, so that nothing of
# them is lost; ``packed`` are values that ``store`` reads back. ``file`` is a name without folder and
# ending: that is how these files point to each other, in whichever order they come. ``chat_marks`` say
# which story a file of a chat belongs to.
# Columns of a key come first and in its order, or quick_check of SQLite 3.40 finds damage where none is.
LIBRARY_SCHEMA = """
CREATE TABLE originals (
    id       INTEGER PRIMARY KEY,
    hash     BLOB NOT NULL UNIQUE,
    name     TEXT NOT NULL,
    kind     TEXT NOT NULL,
    imported REAL NOT NULL,
    data     BLOB NOT NULL
);
CREATE TABLE characters (
    id          TEXT PRIMARY KEY,
    name        TEXT NOT NULL COLLATE NOCASE,
    creator     TEXT NOT NULL,
    file        TEXT NOT NULL COLLATE NOCASE,
    linked_book TEXT NOT NULL COLLATE NOCASE,
    original    INTEGER REFERENCES originals(id),
    place       INTEGER NOT NULL DEFAULT 0,
    updated     REAL NOT NULL,
    notes_shown INTEGER NOT NULL DEFAULT 0,
    packed      BLOB NOT NULL
);
CREATE INDEX characters_by_name ON characters(name);
CREATE INDEX characters_by_file ON characters(file);
CREATE INDEX characters_by_book ON characters(linked_book) WHERE linked_book != '';
CREATE TABLE books (
    id       INTEGER PRIMARY KEY,
    name     TEXT NOT NULL COLLATE NOCASE,
    file     TEXT NOT NULL COLLATE NOCASE,
    original INTEGER REFERENCES originals(id),
    updated  REAL NOT NULL,
    packed   BLOB NOT NULL
);
CREATE INDEX books_by_file ON books(file);
CREATE TABLE book_owners (
    kind    TEXT NOT NULL CHECK (kind IN ('world', 'character', 'persona', 'story', 'all')),
    owner   TEXT NOT NULL DEFAULT '',
    book_id INTEGER NOT NULL REFERENCES books(id) ON DELETE CASCADE,
    PRIMARY KEY (kind, owner, book_id)
) WITHOUT ROWID;
CREATE INDEX book_owners_by_book ON book_owners(book_id);
CREATE TABLE personas (
    id          INTEGER PRIMARY KEY,
    name        TEXT NOT NULL COLLATE NOCASE,
    title       TEXT NOT NULL DEFAULT '',
    description TEXT NOT NULL DEFAULT '',
    is_default  INTEGER NOT NULL DEFAULT 0,
    linked_book TEXT NOT NULL DEFAULT '' COLLATE NOCASE,
    file        TEXT NOT NULL DEFAULT '',
    original    INTEGER REFERENCES originals(id),
    updated     REAL NOT NULL
);
CREATE TABLE persona_owners (
    kind       TEXT NOT NULL CHECK (kind IN ('character', 'file', 'story')),
    owner      TEXT NOT NULL COLLATE NOCASE,
    persona_id INTEGER NOT NULL REFERENCES personas(id) ON DELETE CASCADE,
    PRIMARY KEY (kind, owner)
) WITHOUT ROWID;
CREATE TABLE quick_replies (
    name     TEXT NOT NULL COLLATE NOCASE,
    place    INTEGER NOT NULL,
    label    TEXT NOT NULL,
    text     TEXT NOT NULL,
    PRIMARY KEY (name, place)
) WITHOUT ROWID;
CREATE TABLE chat_marks (
    mark       BLOB PRIMARY KEY,
    session_id TEXT NOT NULL REFERENCES sessions(id) ON DELETE CASCADE
) WITHOUT ROWID;
CREATE INDEX chat_marks_by_session ON chat_marks(session_id);
CREATE TABLE chat_files (
    session_id TEXT NOT NULL REFERENCES sessions(id) ON DELETE CASCADE,
    original   INTEGER NOT NULL REFERENCES originals(id),
    character  TEXT NOT NULL COLLATE NOCASE,
    linked_book TEXT NOT NULL COLLATE NOCASE,
    PRIMARY KEY (session_id, original)
) WITHOUT ROWID;
CREATE INDEX chat_files_by_character ON chat_files(character);
"""

# Words are looked for in an index in memory, made of these rows, with the frequencies of one scope; the
# index of all scopes counted a word as common that other stories use. ``token_vectors`` has a few bits for
# each token of a text; both are derived from the text and made anew where they are missing.
TERMS_SCHEMA = """
DROP TRIGGER passages_inserted;
DROP TRIGGER passages_deleted;
DROP TABLE passages_fts;
ALTER TABLE passages DROP COLUMN scope_key;
CREATE TABLE passage_terms (
    passage_id INTEGER PRIMARY KEY,
    version    INTEGER NOT NULL,
    language   TEXT NOT NULL,
    data       BLOB NOT NULL
);
CREATE TABLE token_vectors (
    hash BLOB NOT NULL,
    model_id TEXT NOT NULL,
    tokens BLOB NOT NULL,
    UNIQUE (hash, model_id)
);
CREATE TRIGGER passages_deleted AFTER DELETE ON passages BEGIN
    DELETE FROM passage_terms WHERE passage_id = old.id;
    DELETE FROM vectors WHERE hash = old.hash
        AND NOT EXISTS (SELECT 1 FROM passages WHERE hash = old.hash);
    DELETE FROM token_vectors WHERE hash = old.hash
        AND NOT EXISTS (SELECT 1 FROM passages WHERE hash = old.hash);
END;
"""

# Scripts that change texts. ``character_id`` is '' for those that are for everything; a card's are off until
# somebody switches them on.
SCRIPTS_SCHEMA = """
CREATE TABLE scripts (
    id           INTEGER PRIMARY KEY,
    character_id TEXT NOT NULL DEFAULT '',
    place        INTEGER NOT NULL,
    name         TEXT NOT NULL COLLATE NOCASE,
    is_on        INTEGER NOT NULL DEFAULT 0,
    original     INTEGER REFERENCES originals(id),
    packed       BLOB NOT NULL
);
CREATE INDEX scripts_by_character ON scripts(character_id, place);
"""

# What the player keeps at the top of the library's lists: ids of characters and worlds, numbers of books.
FAVOURITES_SCHEMA = """
CREATE TABLE favourites (
    kind TEXT NOT NULL CHECK (kind IN ('characters', 'worlds', 'books')),
    id   TEXT NOT NULL,
    PRIMARY KEY (kind, id)
) WITHOUT ROWID;
"""

# Settings under a name, and templates for prompts as text that were imported.
PRESETS_SCHEMA = """
CREATE TABLE presets (
    kind    TEXT NOT NULL CHECK (kind IN ('samplers', 'instruct', 'context')),
    name    TEXT NOT NULL COLLATE NOCASE,
    data    TEXT NOT NULL,
    updated REAL NOT NULL,
    PRIMARY KEY (kind, name)
) WITHOUT ROWID;
"""

# People of one home beside its owner, who is number 0 and in no row. Of a token only ``hash`` is kept, that of its
# secret part; ``mark`` is its open part, by which it is found. ``seats`` are those at another's story. A code lets
# whoever has it take a seat until it ends. ``whispers`` were said by ``one`` user to the ``other``. ``user_days``
# counts what somebody's replies used on a day (since 1970).
USERS_SCHEMA = """
CREATE TABLE users (
    id      INTEGER PRIMARY KEY AUTOINCREMENT,
    name    TEXT NOT NULL UNIQUE,
    created REAL NOT NULL,
    extra   TEXT NOT NULL DEFAULT '{}'
);
CREATE TABLE user_tokens (
    mark    TEXT PRIMARY KEY,
    hash    BLOB NOT NULL,
    user_id INTEGER NOT NULL REFERENCES users(id) ON DELETE CASCADE,
    label   TEXT NOT NULL,
    created REAL NOT NULL,
    ends    REAL
) WITHOUT ROWID;
CREATE INDEX user_tokens_by_user ON user_tokens(user_id);
CREATE TABLE seats (
    session_id TEXT NOT NULL REFERENCES sessions(id) ON DELETE CASCADE,
    user_id    INTEGER NOT NULL,
    role       TEXT NOT NULL,
    name       TEXT NOT NULL DEFAULT '',
    about      TEXT NOT NULL DEFAULT '',
    created    REAL NOT NULL,
    PRIMARY KEY (session_id, user_id)
) WITHOUT ROWID;
CREATE INDEX seats_by_user ON seats(user_id);
CREATE TABLE table_codes (
    mark       TEXT PRIMARY KEY,
    hash       BLOB NOT NULL,
    session_id TEXT NOT NULL REFERENCES sessions(id) ON DELETE CASCADE,
    role       TEXT NOT NULL,
    ends       REAL NOT NULL
) WITHOUT ROWID;
CREATE INDEX table_codes_by_story ON table_codes(session_id);
CREATE TABLE whispers (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    session_id TEXT NOT NULL REFERENCES sessions(id) ON DELETE CASCADE,
    message_id INTEGER NOT NULL REFERENCES messages(id) ON DELETE CASCADE,
    one        INTEGER NOT NULL,
    other      INTEGER NOT NULL,
    text       TEXT NOT NULL,
    created    REAL NOT NULL
);
CREATE INDEX whispers_by_story ON whispers(session_id);
CREATE INDEX whispers_by_message ON whispers(message_id);
CREATE TABLE user_days (
    user_id INTEGER NOT NULL,
    day     INTEGER NOT NULL,
    prompts INTEGER NOT NULL DEFAULT 0,
    tokens  INTEGER NOT NULL DEFAULT 0,
    cost    REAL NOT NULL DEFAULT 0,
    PRIMARY KEY (user_id, day)
) WITHOUT ROWID;
CREATE TABLE audit (
    id      INTEGER PRIMARY KEY AUTOINCREMENT,
    at      REAL NOT NULL,
    user_id INTEGER NOT NULL,
    event   TEXT NOT NULL,
    about   TEXT NOT NULL
);
CREATE TABLE own_presets (
    owner   INTEGER NOT NULL REFERENCES users(id) ON DELETE CASCADE,
    name    TEXT NOT NULL COLLATE NOCASE,
    data    TEXT NOT NULL,
    updated REAL NOT NULL,
    PRIMARY KEY (owner, name)
) WITHOUT ROWID;
CREATE TABLE own_favourites (
    owner INTEGER NOT NULL REFERENCES users(id) ON DELETE CASCADE,
    kind  TEXT NOT NULL,
    id    TEXT NOT NULL,
    PRIMARY KEY (owner, kind, id)
) WITHOUT ROWID;
ALTER TABLE sessions ADD COLUMN owner INTEGER NOT NULL DEFAULT 0;
ALTER TABLE personas ADD COLUMN owner INTEGER NOT NULL DEFAULT 0;
CREATE INDEX sessions_by_owner ON sessions(owner, deleted);
"""

# What users have in a library of their own. Their ids end in ~ and the user's number, so that no two libraries share
# one. ``own_assets`` are worlds, characters and rules that they wrote; imported cards and books are where all are.
OWN_LIBRARY_SCHEMA = """
CREATE TABLE own_assets (
    owner   INTEGER NOT NULL REFERENCES users(id) ON DELETE CASCADE,
    kind    TEXT NOT NULL CHECK (kind IN ('worlds', 'characters', 'rules')),
    id      TEXT NOT NULL,
    updated REAL NOT NULL,
    packed  BLOB NOT NULL,
    PRIMARY KEY (owner, kind, id)
) WITHOUT ROWID;
ALTER TABLE characters ADD COLUMN owner INTEGER NOT NULL DEFAULT 0;
ALTER TABLE books ADD COLUMN owner INTEGER NOT NULL DEFAULT 0;
CREATE INDEX characters_by_owner ON characters(owner, name, id);
CREATE INDEX books_by_owner ON books(owner);
"""

MIGRATIONS: tuple[str, ...] = (
    STORIES_SCHEMA + PASSAGES_SCHEMA,
    TRASH_SCHEMA,
    TREE_SCHEMA,
    MEMORY_SCHEMA,
    GROWTH_SCHEMA,
    PROMPTS_SCHEMA,
    LIBRARY_SCHEMA,
    TERMS_SCHEMA,
    SCRIPTS_SCHEMA,
    FAVOURITES_SCHEMA,
    PRESETS_SCHEMA,
    USERS_SCHEMA,
    OWN_LIBRARY_SCHEMA,
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

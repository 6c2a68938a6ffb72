"""Triggers for several engines on one database: who may change a story, and what the others are notified of. Pure.

A row of a story is changed by the engine that has its lease alone; a story that nobody has is leased by the first
change. Leases cannot change under a transaction, as it keeps its engine's row locked (``engines``). Programs that are
no engine may write. Engines are notified when rows that are everybody's change, as they keep some of them in memory.
"""

from __future__ import annotations

from collections.abc import Iterator

# ruff: noqa: S608 - names of tables are put into statements

ELSEWHERE = "FL001"  # a state of our own: the story is another engine's
CHANNEL = "flower"  # of notifications: the engine's number, what has changed, and where

_HOLD = f"""
CREATE OR REPLACE FUNCTION hold_story(id text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    me text := current_setting('flower.engine', true);
    holder bigint;
BEGIN
    IF id IS NULL OR coalesce(me, '') = '' OR current_setting('flower.held', true) = id THEN RETURN; END IF;
    SELECT engine INTO holder FROM leases WHERE story = id;
    IF holder IS NULL THEN
        INSERT INTO leases (story, engine) VALUES (id, me::bigint) ON CONFLICT (story) DO NOTHING;
        SELECT engine INTO holder FROM leases WHERE story = id;
    END IF;
    IF holder IS DISTINCT FROM me::bigint THEN
        RAISE EXCEPTION 'another engine plays this story' USING ERRCODE = '{ELSEWHERE}';
    END IF;
    PERFORM set_config('flower.held', id, true);
END $$"""

# By table: the story that a row belongs to, and which rows belong to one.
_OF_STORY = {
    "sessions": ("row.id", ""),
    "messages": ("row.session_id", ""),
    "branches": ("row.session_id", ""),
    "waiting_lines": ("row.session_id", ""),
    "whispers": ("row.session_id", ""),
    "growth": ("(SELECT session_id FROM messages WHERE messages.id = row.place >> 20)", ""),
    "summaries": ("(SELECT session_id FROM messages WHERE messages.id = row.last_id)", ""),
    "passages": ("substr(row.scope, 8)", "row.kind = 'memory'"),
}


def _fence(table: str) -> Iterator[str]:
    story, condition = _OF_STORY[table]
    for event, row in (("INSERT OR UPDATE", "new"), ("DELETE", "old")):
        name = f"{table}_fence_{row}"
        yield (
            f"CREATE OR REPLACE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$"
            f" BEGIN PERFORM hold_story({_of(row, story)}); RETURN {row}; END $$"
        )
        when = f"WHEN ({_of(row, condition)})" if condition else ""
        yield (
            f"CREATE OR REPLACE TRIGGER {name} BEFORE {event} ON {table}"
            f" FOR EACH ROW {when} EXECUTE FUNCTION {name}()"
        )


def _of(row: str, expression: str) -> str:
    return expression.replace("row.", f"{row}.")


# The same notification is sent once in a transaction.
_TELL = f"""
CREATE OR REPLACE FUNCTION tell_engines() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    place text := '';
BEGIN
    IF TG_ARGV[0] = 'lore' THEN
        IF TG_OP = 'DELETE' THEN place := old.scope; ELSE place := new.scope; END IF;
    ELSIF TG_ARGV[0] = 'characters' THEN
        IF TG_OP = 'DELETE' THEN place := old.owner::text; ELSE place := new.owner::text; END IF;
    END IF;
    PERFORM pg_notify('{CHANNEL}',
        coalesce(nullif(current_setting('flower.engine', true), ''), '0') || ' ' || TG_ARGV[0] || ' ' || place);
    RETURN NULL;
END $$"""

# By table: what is notified, upon what, and for which rows.
_TOLD = (
    ("passages", "lore", "INSERT OR UPDATE", "FOR EACH ROW WHEN (new.kind = 'lore')"),
    ("passages", "lore", "DELETE", "FOR EACH ROW WHEN (old.kind = 'lore')"),
    (
        "sessions",
        "stories",
        "INSERT OR DELETE OR UPDATE OF title, pinned, archived, deleted",
        "FOR EACH STATEMENT",
    ),
    ("characters", "characters", "INSERT OR DELETE OR UPDATE", "FOR EACH ROW"),
    ("own_assets", "characters", "INSERT OR DELETE OR UPDATE", "FOR EACH ROW"),
)


def _tell() -> Iterator[str]:
    for number, (table, what, event, rows) in enumerate(_TOLD):
        yield (
            f"CREATE OR REPLACE TRIGGER {table}_told_{number} AFTER {event} ON {table}"
            f" {rows} EXECUTE FUNCTION tell_engines('{what}')"
        )


FENCES = (_HOLD, *(statement for table in _OF_STORY for statement in _fence(table)), _TELL, *_tell())

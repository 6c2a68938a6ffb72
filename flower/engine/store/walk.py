"""The walk from a message up to the root of its story, as SQL. Pure text.

Written with a scalar subquery for each step, not with a join: SQLite 3.38 and later gives a join a Bloom filter over
the whole table of messages once it has statistics, so that every prompt would read every message of the home.
Ids grow along the way, which ends the walk even where a damaged row is its own parent.
"""

from __future__ import annotations

ID = "CAST(? AS INTEGER)"  # a message's id as a parameter that may be None


def up(start: str, *, until: str = "") -> str:
    """Returns a WITH clause: ``up(id)`` is the message that ``start`` selects and all above it, then NULL.

    ``until`` is a condition on ``up.id`` at which the walk ends; all are our own words, never values.
    """
    going_on = f" AND NOT ({until})" if until else ""
    return (
        f"WITH RECURSIVE up(id) AS (SELECT {start} UNION ALL"  # noqa: S608 - constants of ours
        " SELECT (SELECT w.parent_id FROM messages w WHERE w.id = up.id AND w.parent_id < up.id)"
        f" FROM up WHERE up.id IS NOT NULL{going_on})"
    )

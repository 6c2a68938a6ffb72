"""The ways from where stories stand up to their beginnings, kept in memory.

A prompt asks how many lines lie above it, which message had a state last, which memories belong to this way. To walk
up the whole story for that costs more the longer it is; kept, only what is new since the last time is read. Ids grow
along a way, so that a way is a few sorted arrays and everything is asked of them by bisection.

A connection keeps ways only if whoever owns it says so with an attribute ``paths`` and calls ``clear`` when a
transaction was rolled back; any other walks each time. What changes a message that was there before calls ``changed``,
what deletes messages ``forgotten``. Not for text: what messages say is never kept here.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Collection, Iterator
from itertools import islice
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flower.engine.store.connection import Connection

PATH_IDS_KEPT = 200_000  # messages of stories whose way is kept in memory, about 16 bytes each

ID = "CAST(? AS INTEGER)"  # a message's id as a parameter that may be None


def up(start: str, *, until: str = "") -> str:
    """Returns a WITH clause: ``up(id)`` is the message that ``start`` selects and all above it, then NULL.

    Written with a scalar subquery for each step, not with a join: SQLite 3.38 and later gives a join a Bloom filter
    over the whole table of messages once it has statistics, so that every prompt would read every message of the home.
    Ids grow along the way, which ends the walk even where a damaged row is its own parent.

    ``until`` is a condition on ``up.id`` at which the walk ends; all are our own words, never values.
    """
    going_on = f" AND NOT ({until})" if until else ""
    return (
        f"WITH RECURSIVE up(id) AS (SELECT {start} UNION ALL"  # noqa: S608 - constants of ours
        " SELECT (SELECT w.parent_id FROM messages w WHERE w.id = up.id AND w.parent_id < up.id)"
        f" FROM up WHERE up.id IS NOT NULL{going_on})"
    )


# A text search goes before the JSON parser: most messages have long extra data and nothing of this kind.
_HAS = (
    "CASE WHEN instr(m.extra, '\"{key}\"') AND json_valid(m.extra)"
    " THEN json_type(m.extra, '$.{key}') = '{type}' ELSE false END"
)
_WALK = f"""
    {up("CAST(:leaf AS INTEGER)", until="up.id <= :until")}
    SELECT m.id,
        m.role = 'user' AND m.content NOT LIKE '((%))',
        {_HAS.format(key="state", type="object")},
        m.role = 'assistant',
        {_HAS.format(key="variables", type="object")},
        {_HAS.format(key="hidden", type="true")},
        {_HAS.format(key="stage", type="array")},
        EXISTS (SELECT 1 FROM summaries s WHERE s.last_id = m.id)
    FROM up CROSS JOIN messages m ON m.id = up.id
"""  # noqa: S608 - constants are put in
_LOOKED_AT = 8  # ways before the database is asked whose a message is
ON_A_WAY = frozenset(
    {"state", "variables", "hidden", "stage"}
)  # of a message's extra data, what a way knows of


class Ids(Collection[int]):
    """The messages of a way, without some of them. A snapshot: what the way becomes later does not change it."""

    def __init__(self, ids: array[int], count: int, without: frozenset[int] = frozenset()) -> None:
        self._ids, self._count, self._without = ids, count, without

    def __contains__(self, number: object) -> bool:
        if not isinstance(number, int) or number in self._without:
            return False
        place = bisect_left(self._ids, number, 0, self._count)
        return place < self._count and self._ids[place] == number

    def __len__(self) -> int:
        return self._count - len(self._without)

    def but(self, others: Collection[int]) -> Ids:
        """Returns the same without others of the way."""
        return Ids(self._ids, self._count, self._without.union(others)) if others else self

    def last(self, most: int | None) -> list[int]:
        """Returns the last so many of them, None: all."""
        ids = list(self)
        return ids if most is None else ids[-most:] if most else []

    def __iter__(self) -> Iterator[int]:
        """Yields them from the beginning of the story on."""
        return (n for n in self._ids[: self._count] if n not in self._without)


class _SavedWay:
    """Everything known of one story's way; the arrays only ever get longer."""

    __slots__ = ("hidden", "ids", "lines", "replies", "stages", "states", "summarised", "variables")

    def __init__(self) -> None:
        self.ids, self.lines, self.states = array("q"), array("q"), array("q")
        self.replies, self.variables, self.hidden = array("q"), array("q"), array("q")
        self.stages = array("q")  # messages at which the cast became another one
        self.summarised = array("q")  # messages at which a summary ends

    def __contains__(self, number: int) -> bool:
        place = bisect_left(self.ids, number)
        return place < len(self.ids) and self.ids[place] == number

    def of(self, rows: list[tuple[int, *tuple[bool, ...]]]) -> _SavedWay:
        """Adds what a walk found; its rows go upwards."""
        kinds = (
            self.lines,
            self.states,
            self.replies,
            self.variables,
            self.hidden,
            self.stages,
            self.summarised,
        )
        for number, *flags in reversed(rows):
            self.ids.append(number)
            for kind, flag in zip(kinds, flags, strict=True):
                if flag:
                    kind.append(number)
        return self

    def above(self, number: int) -> _SavedWay:
        """Returns the way above a message."""
        cut = _SavedWay()
        for name in self.__slots__:
            ids: array[int] = getattr(self, name)
            setattr(cut, name, ids[: bisect_left(ids, number)])
        return cut


class Way:
    """What lies between the root and a message. ``lines``: how many the player's are, without asides."""

    def __init__(self, saved: _SavedWay, leaf: int) -> None:
        self._saved, self._leaf = saved, leaf

    @property
    def lines(self) -> int:
        return bisect_right(self._saved.lines, self._leaf)

    @property
    def state(self) -> int | None:
        """The nearest message with a state, None if there is none."""
        return self._nearest(self._saved.states)

    @property
    def reply(self) -> int | None:
        """The nearest message of the narrator."""
        return self._nearest(self._saved.replies)

    @property
    def variables(self) -> int | None:
        """The nearest message with variables of macros."""
        return self._nearest(self._saved.variables)

    @property
    def ids(self) -> Ids:
        return Ids(self._saved.ids, bisect_right(self._saved.ids, self._leaf))

    @property
    def stages(self) -> Ids:
        """The messages at which it changed who of the cast is there."""
        return Ids(self._saved.stages, bisect_right(self._saved.stages, self._leaf))

    @property
    def remembered(self) -> Ids:
        """The messages whose memories may be recalled: without hidden ones, and answers to them."""
        ids = self._saved.ids
        without: set[int] = set()
        count = bisect_right(ids, self._leaf)
        for number in self._saved.hidden[: bisect_right(self._saved.hidden, self._leaf)]:
            place = bisect_left(ids, number)
            without.update(ids[place : min(place + 2, count)])
        return Ids(ids, count, frozenset(without))

    def summarised(self, before: int | None = None) -> int | None:
        """The nearest message at which a summary ends, above ``before``."""
        return self._nearest(self._saved.summarised, before - 1 if before is not None else self._leaf)

    def _nearest(self, ids: array[int], below: int | None = None) -> int | None:
        place = bisect_right(ids, min(self._leaf, below) if below is not None else self._leaf)
        return ids[place - 1] if place else None


class Paths:
    """The ways of the stories that were played last, ``PATH_IDS_KEPT`` messages in all."""

    def __init__(self) -> None:
        self._saved: dict[str, _SavedWay] = {}  # the story asked for last is the last

    def to(self, db: Connection, session_id: str, leaf: int) -> _SavedWay:
        """Returns a way with ``leaf`` on it."""
        saved = self._saved.pop(session_id, None)
        if saved is None or leaf not in saved:
            saved = _grown(db, saved, leaf)
        self._saved[session_id] = saved
        total = sum(len(one.ids) for one in self._saved.values())
        while total > PATH_IDS_KEPT and len(self._saved) > 1:
            total -= len(self._saved.pop(next(iter(self._saved))).ids)
        return saved

    def story_of(self, number: int) -> str | None:
        """Returns the story of a message that lies on one of the ways asked for last; None: on none of these."""
        last = islice(reversed(self._saved.items()), _LOOKED_AT)
        return next((story for story, saved in last if number in saved), None)

    def changed(self, number: int) -> None:
        """Has a message, and what follows it, read anew."""
        for session_id, saved in self._saved.items():
            if number in saved:
                self._saved[session_id] = saved.above(number)

    def forget(self, session_id: str) -> None:
        """Reads a story's way anew."""
        self._saved.pop(session_id, None)

    def clear(self) -> None:
        self._saved.clear()


def _grown(db: Connection, saved: _SavedWay | None, leaf: int) -> _SavedWay:
    """Returns the way to ``leaf``, read as far as the kept one does not know it."""
    place = bisect_left(saved.ids, leaf) if saved is not None else 0
    if saved is not None and place:
        rows = _walked(db, leaf, saved.ids[place - 1])
        met = rows[-1][0] if rows else 0
        if met in saved:
            return (saved if met == saved.ids[-1] else saved.above(met + 1)).of(rows[:-1])
    return _SavedWay().of(_walked(db, leaf, 0))


def _walked(db: Connection, leaf: int, until: int) -> list[tuple[int, *tuple[bool, ...]]]:
    """Returns id and kinds of the messages from ``leaf`` upwards, to the first that is not above ``until``."""
    return db.execute(_WALK, {"leaf": leaf, "until": until}).fetchall()


def way(db: Connection, leaf: int | None, story: str | None = None) -> Way:
    """Returns what lies on the way to ``leaf``; nothing on the way to None. ``story``: its story, if known."""
    if leaf is None:
        return Way(_SavedWay(), 0)
    paths: Paths | None = getattr(db, "paths", None)
    if story is None and paths is not None:
        story = paths.story_of(leaf) or _story_of(db, leaf)
    if paths is None or story is None:
        return Way(_SavedWay().of(_walked(db, leaf, 0)), leaf)
    return Way(paths.to(db, story, leaf), leaf)


def kept_ids(db: Connection, leaf: int, story: str | None = None) -> Ids | None:
    """Returns the ids of the way to ``leaf`` where a connection keeps ways, None where it does not."""
    return way(db, leaf, story).ids if getattr(db, "paths", None) is not None else None


def _story_of(db: Connection, number: int) -> str | None:
    row = db.execute("SELECT session_id FROM messages WHERE id = ?", (number,)).fetchone()
    return row[0] if row else None


def changed(db: Connection, number: int) -> None:
    """Says that a message, which was there before, has other extra data or another text."""
    paths: Paths | None = getattr(db, "paths", None)
    if paths is not None:
        paths.changed(number)


def forgotten(db: Connection) -> None:
    """Says that messages were deleted: their ids may be given again."""
    paths: Paths | None = getattr(db, "paths", None)
    if paths is not None:
        paths.clear()


def forget(db: Connection, session_id: str) -> None:
    """Says that somebody else may have changed a story."""
    paths: Paths | None = getattr(db, "paths", None)
    if paths is not None:
        paths.forget(session_id)

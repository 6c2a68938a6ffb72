"""What users have of their own beside what a home has for everybody: ids, and a library as one user sees it. Pure.

An id of a user's own ends in ``~`` and the user's number, which no id that people write can have. So libraries never
share an id, stories point to the right one whoever reads them, and what is kept by id (lore, books, scripts) is apart.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Generic, TypeVar

MARK = "~"
NUMBER_DIGITS = 18

A = TypeVar("A")


def owned(plain: str, user: int) -> str:
    """Returns the id of what a user calls ``plain``; 0 is the home's owner, whose things are everybody's."""
    return f"{plain}{MARK}{user}" if user else plain


def owner_of(asset_id: str) -> int:
    """Returns the number of whose something is, 0 when it is the home's."""
    _, mark, number = asset_id.rpartition(MARK)
    known = mark and number.isascii() and number.isdecimal() and len(number) <= NUMBER_DIGITS
    return int(number) if known else 0


def plain(asset_id: str) -> str:
    """Returns an id without whose it is."""
    return asset_id.rpartition(MARK)[0] if owner_of(asset_id) else asset_id


class Shelf(Mapping[str, A], Generic[A]):
    """The home's things of a kind, and by id those of users: nobody's own is in a list of it.

    ``own`` returns what a user has by id, nothing for one whose library was not read.
    """

    def __init__(self, shared: Mapping[str, A], own: Callable[[int], Mapping[str, A]]) -> None:
        self.shared = shared
        self._own = own

    def __getitem__(self, asset_id: str) -> A:
        owner = owner_of(asset_id)
        return self._own(owner)[asset_id] if owner else self.shared[asset_id]

    def __iter__(self) -> Iterator[str]:
        return iter(self.shared)

    def __len__(self) -> int:
        return len(self.shared)


class OwnShelf(Mapping[str, A], Generic[A]):
    """Things of a kind as one user sees them: their own, then the home's that none of theirs is called like.

    They need not say whose theirs is: ``mara`` is their own Mara, if they have one.
    """

    def __init__(self, user: int, mine: Mapping[str, A], shared: Mapping[str, A]) -> None:
        self.user = user
        self.mine = mine
        self.shared = shared

    def __getitem__(self, asset_id: str) -> A:
        if MARK in asset_id:
            return self.mine[asset_id]
        found = self.mine.get(owned(asset_id, self.user))
        return found if found is not None else self.shared[asset_id]

    def hides(self, asset_id: str) -> bool:
        """Whether one of the user's own takes the place of one of the home's."""
        return owned(asset_id, self.user) in self.mine

    def __iter__(self) -> Iterator[str]:
        yield from self.mine
        yield from (one for one in self.shared if not self.hides(one))

    def __len__(self) -> int:
        return sum(1 for _ in self)

"""Numbers with the word for what they count: ``1 message``, ``3 messages``. Pure; says nothing else."""

from __future__ import annotations


def counted(number: int, one: str, many: str = "") -> str:
    """Returns ``number`` with ``one`` or ``many``; without ``many`` an s makes the plural."""
    return f"{number} {one if number == 1 else many or f'{one}s'}"

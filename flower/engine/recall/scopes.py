"""The names of recall scopes: which passages belong together and are searched together. Pure."""

from __future__ import annotations

CAST_PREFIX = "lore:cast/"  # no world's: their ids have no slash


def lore_scope(world_id: str) -> str:
    """Returns the recall scope of a world's lore, "" for no world."""
    return f"lore:{world_id}" if world_id else ""


def memory_scope(session_id: str) -> str:
    """Returns the recall scope of a story's memories."""
    return f"memory:{session_id}"


def book_scope(book_id: int) -> str:
    """Returns the recall scope of the entries of a lorebook that are recalled by meaning."""
    return f"lore:book/{book_id}"  # no world's either


def cast_scope(character_id: str) -> str:
    """Returns the recall scope of what a character alone knows."""
    return f"{CAST_PREFIX}{character_id}"

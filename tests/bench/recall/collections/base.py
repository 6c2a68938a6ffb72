"""What the collections of the recall benchmark are made of. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from flower.engine.store.passages import Kind


class Document(Struct, frozen=True):
    """A passage as it is stored, in the order it was written."""

    scope: str
    title: str
    text: str


class Question(Struct, frozen=True):
    """What is asked of a scope, and which documents (by index) answer it; none: no answer exists."""

    scope: str
    text: str
    answers: frozenset[int]
    context: str = ""  # sentences that stand before the question in the same line


class Collection(Struct, frozen=True):
    name: str
    kind: Kind
    documents: Sequence[Document]
    questions: Sequence[Question]

"""Reads the collections that are written by hand."""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from flower.engine.recall.chunking import chunk
from tests.bench.recall.collections.base import Collection, Document, Question

HERE = Path(__file__).parent
# What players write before they ask: whole lines of several sentences.
BEFORE = (
    "I put the lantern down and rub my hands. The rain has not stopped all day. I turn to the others.",
    "We sit down at the long table. I pour everybody some wine. It has been a hard road.",
    '"Enough of this," I say and close the door behind me. I look each of them in the eye. Nobody moves.',
    "I lean against the wall and try to remember. My leg still hurts from the fall. A dog barks outside.",
    "That was good soup. I stretch out by the fire and yawn. There is something I have been meaning to ask.",
)
_NAMES = """
os shutil subprocess threading socket json csv sqlite3 datetime decimal statistics random string
re difflib textwrap calendar collections heapq bisect copy pprint functools itertools pathlib
tempfile pickle zlib gzip zipfile tarfile configparser hashlib hmac secrets io time argparse
logging getpass platform asyncio selectors signal http.client urllib.request urllib.parse
smtplib imaplib uuid ipaddress gettext locale shlex unittest doctest timeit inspect ast tokenize
dis
"""


def friends(name: str = "friends") -> Collection:
    """Friends who write for months; an exchange a document, headed by its date."""
    scope = f"memory:{name}"
    documents: list[Document] = []
    questions: list[Question] = []
    lines: list[str] = []
    date = ""
    for line in _lines(f"{name}.txt"):
        if line[:2] in ("? ", "- "):
            _close(lines, scope, date, documents)
            answers = {len(documents) - 1} if line[0] == "?" else set()
            questions.append(Question(scope, line[2:], frozenset(answers)))
        elif line.startswith("= "):
            _close(lines, scope, date, documents)
            date = line[2:]
        else:
            if len(lines) == 2:
                _close(lines, scope, date, documents)
            lines.append(line)
    _close(lines, scope, date, documents)
    return Collection(name, "memory", documents, questions)


def _close(lines: list[str], scope: str, date: str, documents: list[Document]) -> None:
    if lines:
        documents.append(Document(scope, "", f"({date}) " + "\n".join(lines)))
        lines.clear()


def tale(name: str = "tale") -> Collection:
    """Stories in prose, a paragraph or two a document."""
    drafts = chunk((HERE / f"{name}.md").read_text(), budget=90)
    documents = [Document(f"lore:{name}", draft.title, draft.text) for draft in drafts]
    questions = _by_phrases(f"{name}_questions.tsv", documents)
    if any(phrase is None for phrase in questions):
        raise ValueError(f"a passage asked for is not in {name}.md")
    return Collection(name, "lore", documents, [q for q in questions if q is not None])


def reference() -> Collection:
    """Python's reference, as installed with it: technical prose, asked in other words."""
    topics = importlib.import_module("pydoc_data.topics").topics
    texts = {draft.text: draft for text in topics.values() for draft in chunk(text)}
    documents = [Document("lore:reference", draft.title, draft.text) for draft in texts.values()]
    questions = _by_phrases("reference_questions.tsv", documents)
    return Collection("reference", "lore", documents, [q for q in questions if q is not None])


def _by_phrases(name: str, documents: Sequence[Document]) -> list[Question | None]:
    """Returns questions, each answered by the passages with its phrase ("-": none); None where no passage has it."""
    flat = [" ".join(one.text.split()) for one in documents]
    found: list[Question | None] = []
    for line in _lines(name):
        text, phrase = line.split("\t")
        answers = frozenset(i for i, passage in enumerate(flat) if phrase in passage)
        if phrase == "-":
            answers = frozenset()
        found.append(Question(documents[0].scope, text, answers) if answers or phrase == "-" else None)
    return found


def plain(collection: Collection) -> Collection:
    """Returns the collection with questions that share their words with the answers."""
    questions = []
    scope = collection.documents[0].scope
    for line in _lines("plain_questions.tsv"):
        name, text, phrase = line.split("\t")
        if name == collection.name:
            answers = [i for i, d in enumerate(collection.documents) if phrase in d.text]
            if not answers:
                raise ValueError(f"no document of {name} has {phrase!r}")
            questions.append(Question(scope, text, frozenset(answers)))
    return Collection(f"{collection.name}, plain", collection.kind, collection.documents, questions)


def vael() -> Collection:
    """A small world, asked about in other words than the lore's."""
    here = HERE.parent
    drafts = chunk((here / "vael.md").read_text())
    number = {draft.title: index for index, draft in enumerate(drafts)}
    pairs = [line.split("\t") for line in (here / "questions.tsv").read_text().splitlines()]
    return Collection(
        "vael",
        "lore",
        [Document("lore:vael", draft.title, draft.text) for draft in drafts],
        [Question("lore:vael", text, frozenset([number[title]])) for text, title in pairs],
    )


def languages() -> list[Collection]:
    """A small set for each of six languages."""
    found: list[Collection] = []
    documents: list[Document] = []
    questions: list[Question] = []
    scope = ""
    for line in _lines("languages.txt"):
        if line.startswith("= "):
            documents, questions = [], []
            scope = f"lore:{line[2:]}"
            found.append(Collection(line[2:], "lore", documents, questions))
        elif line.startswith("? "):
            questions.append(Question(scope, line[2:], frozenset([len(documents) - 1])))
        elif line.startswith("- "):
            questions.append(Question(scope, line[2:], frozenset()))
        else:
            documents.append(Document(scope, "", line))
    return found


def stdlib() -> Collection:
    """Docstrings of Python's library: the first paragraph is the question, the rest answers it."""
    pairs: dict[str, str] = {}
    for _, doc in _docstrings():
        first, *rest = re.split(r"\n\s*\n", doc, maxsplit=1)
        body = " ".join(" ".join(rest).split())[:700]
        if 25 < len(first) < 200 and len(body) > 120:
            pairs.setdefault(body, " ".join(first.split()))
    return Collection(
        "stdlib",
        "lore",
        [Document("lore:stdlib", "", body) for body in pairs],
        [Question("lore:stdlib", q, frozenset([i])) for i, q in enumerate(pairs.values())],
    )


def technical() -> Collection:
    """Docstrings of Python's library, found by what somebody needs in their own words."""
    numbers: dict[str, list[int]] = {}
    documents: list[Document] = []
    by_text: dict[str, int] = {}
    for name, doc in _docstrings():
        text = " ".join(doc.split())[:700]
        if len(text) < 40:
            continue
        if text not in by_text:
            by_text[text] = len(documents)
            documents.append(Document("lore:technical", "", text))
        numbers.setdefault(name, []).append(by_text[text])
    questions = []
    for line in _lines("technical.tsv"):
        text, name = line.split("\t")
        if name != "-" and name not in numbers:
            continue  # this Python has no such function
        questions.append(Question("lore:technical", text, frozenset(numbers.get(name, ()))))
    return Collection("technical", "lore", documents, questions)


def longer(collection: Collection) -> Collection:
    """Returns a collection whose questions stand at the end of a longer line."""
    questions = [
        Question(q.scope, f"{BEFORE[number % len(BEFORE)]} {q.text}", q.answers)
        for number, q in enumerate(collection.questions)
    ]
    name = f"{collection.name}, longer line"
    return Collection(name, collection.kind, collection.documents, questions)


def _lines(name: str) -> Iterator[str]:
    for line in (HERE / name).read_text().splitlines():
        if line and not line.startswith("#"):
            yield line


def _docstrings() -> Iterator[tuple[str, str]]:
    for name in _NAMES.split():
        module = importlib.import_module(name)
        for key, value in _public(module):
            yield f"{name}.{key}", inspect.getdoc(value) or ""
            if inspect.isclass(value) and value.__module__ == name:
                for member, inner in _public(value):
                    yield f"{name}.{key}.{member}", inspect.getdoc(inner) or ""


def _public(holder: object) -> Iterator[tuple[str, object]]:
    for name, value in vars(holder).items():
        if not name.startswith("_") and callable(value):
            yield name, value

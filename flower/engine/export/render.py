"""A story as a file: Markdown, HTML, plain text or JSON lines. Pure.

Every format comes as pieces of text to be written one after the other, so that a long story is never in
memory twice. Nothing a terminal obeys gets into a file: all texts pass ``sanitize``, also those that
were stored before it existed.
"""

from __future__ import annotations

import html
import json
import re
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime

from msgspec import Struct

import flower
from flower.engine.store.stories import Message, StoredSession
from flower.text import sanitize

EXPORT_NAME_CHARS = 60  # of a title in a file's name

FORMATS = ("md", "html", "txt", "jsonl")
TEXT_COLUMNS = 78
ENDED_WELL = ("complete", "streaming")
_FENCE = re.compile(r"^ {0,3}(```+|~~~+)", re.MULTILINE)
_TAG = re.compile(r"<(?=[a-zA-Z/!?])")


class Story(Struct, frozen=True):
    """What an export is made of. ``branches``: further ways through the tree, each from its fork on."""

    stored: StoredSession
    world: str
    character: str
    path: Sequence[Message]
    branches: Sequence[Sequence[Message]] = ()
    variants: Mapping[int, tuple[int, int]] = {}
    exported: float = 0.0  # Unix seconds

    @property
    def title(self) -> str:
        return _line(self.stored.title) or "Untitled"


def render(story: Story, form: str) -> Iterator[str]:
    """Yields the pieces of a story in one of ``FORMATS``."""
    return {"md": _markdown, "html": _html, "txt": _text, "jsonl": _json_lines}[form](story)


def other_branches(tree: Sequence[Message], path: Sequence[Message]) -> list[list[Message]]:
    """Returns what of a tree is not on ``path``, as rows of messages without a fork, parents first."""
    below: dict[int | None, list[Message]] = {}
    for message in tree:
        below.setdefault(message.parent_id, []).append(message)
    on_path = {message.id for message in path}
    rows = []
    for message in tree:
        if message.id in on_path:
            continue
        row = [message]
        while row[-1].id in below:
            row.append(below[row[-1].id][0])
        on_path.update(part.id for part in row)
        rows.append(row)
    return rows


def file_name(story: Story, form: str, number: int = 1) -> str:
    """Returns a name like ``the-river-door-2025-11-22.md``; from ``number`` 2 on with that number."""
    words = re.sub(r"[^\w]+", "-", story.title.lower()).strip("-_")[:EXPORT_NAME_CHARS].strip("-_")
    day = datetime.fromtimestamp(story.exported, UTC).date().isoformat()
    return f"{words or 'story'}-{day}{f'-{number}' if number > 1 else ''}.{form}"


# --- Markdown -----------------------------------------------------------------------------------


def _markdown(story: Story) -> Iterator[str]:
    yield "---\n"
    for key, value in _facts(story).items():
        yield f"{key}: {json.dumps(value, ensure_ascii=False)}\n"  # JSON is YAML, quoted in every case
    yield f"---\n\n# {_escaped(story.title)}\n\n"
    if _place(story):
        yield f"*{_escaped(_place(story))}*\n\n"
    for message in story.path:
        yield _markdown_message(story, message)
    for row in story.branches:
        yield f"---\n\n## {_branch_title(row)}\n\n"
        for message in row:
            yield _markdown_message(story, message)


def _markdown_message(story: Story, message: Message) -> str:
    text = sanitize(message.content).strip()
    if not text and message.status in ENDED_WELL:
        return ""
    text = _TAG.sub(r"\\<", text)
    if message.role == "user":
        text = "**You:** " + re.sub(r"(?<!\n)\n(?!\n)", "  \n", text)  # their line breaks are meant
        text = "\n".join(
            f"> {line}".rstrip() if not line.endswith("  ") else f"> {line}"
            for line in text.split("\n")
        )
    elif message.role == "system":
        text = "\n".join(f"*{_escaped(line)}*" for line in text.split("\n") if line.strip())
    elif len(_FENCE.findall(text)) % 2:
        text += "\n```"  # a reply that was cut off must not swallow what follows
    return "\n\n".join(part for part in (text, _emphasised(_remark(story, message))) if part) + "\n\n"


def _emphasised(remark: str) -> str:
    return f"*({remark})*" if remark else ""


def _escaped(text: str) -> str:
    return re.sub(r"([\\`*_\[\]<>#])", r"\\\1", text)


# --- HTML ---------------------------------------------------------------------------------------

_STYLE = """
:root { color-scheme: light dark; }
body { max-width: 38rem; margin: 3rem auto; padding: 0 1rem; font: 1.1rem/1.6 Georgia, serif; }
header { margin-bottom: 3rem; } h1 { margin-bottom: 0; } header p { opacity: .7; margin-top: .3rem; }
.you { border-left: 3px solid #d0679d; padding-left: 1rem; margin: 1.6rem 0; font-style: italic; }
.note { font: .9rem/1.5 monospace; opacity: .8; } .remark { font-size: .85rem; opacity: .6; }
details { margin: 2rem 0; border-top: 1px solid; padding-top: 1rem; } summary { cursor: pointer; }
pre { overflow-x: auto; }
"""
_CLASSES = {"user": "you", "assistant": "narrator", "system": "note"}


def _html(story: Story) -> Iterator[str]:
    title = html.escape(story.title)
    yield '<!DOCTYPE html>\n<html lang="mul">\n<head>\n<meta charset="utf-8">\n'
    yield '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
    yield f"<title>{title}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
    yield f"<header><h1>{title}</h1><p>{html.escape(_place(story))}</p></header>\n<main>\n"
    for message in story.path:
        yield _html_message(story, message)
    yield "</main>\n"
    for row in story.branches:
        yield f"<details><summary>{html.escape(_branch_title(row))}</summary>\n"
        for message in row:
            yield _html_message(story, message)
        yield "</details>\n"
    yield "</body>\n</html>\n"


def _html_message(story: Story, message: Message) -> str:
    text = sanitize(message.content).strip()
    remark = _remark(story, message)
    if not text and not remark:
        return ""
    parts = [_html_block(block) for block in re.split(r"\n\s*\n", text) if block.strip()]
    if remark:
        parts.append(f'<p class="remark">({html.escape(remark)})</p>')
    kind = _CLASSES[message.role]
    return f'<div class="{kind}" id="m{message.id}">\n' + "\n".join(parts) + "\n</div>\n"


def _html_block(block: str) -> str:
    if re.fullmatch(r"\s*([-*_]\s*){3,}", block):
        return "<hr>"
    heading = re.fullmatch(r"#{1,6} ++([^\n]+)", block)
    if heading:
        return f"<h3>{_inline(heading.group(1))}</h3>"
    return "<p>" + "<br>\n".join(_inline(line) for line in block.split("\n")) + "</p>"


def _inline(text: str) -> str:
    """Returns a line with emphasis as tags; everything else is text and nothing but text."""
    text = html.escape(text)
    text = re.sub(r"`([^`]+)`", r"<code>\1</code>", text)
    text = re.sub(r"\*\*(?=\S)([^*]+?)(?<=\S)\*\*", r"<strong>\1</strong>", text)
    text = re.sub(r"\*(?=\S)([^*]+?)(?<=\S)\*", r"<em>\1</em>", text)
    return re.sub(r"(?<!\w)_(?=\S)([^_]+?)(?<=\S)_(?!\w)", r"<em>\1</em>", text)


# --- plain text ---------------------------------------------------------------------------------


def _text(story: Story) -> Iterator[str]:
    yield f"{story.title}\n{'=' * min(len(story.title), TEXT_COLUMNS)}\n"
    yield f"{_place(story)}\n\n" if _place(story) else "\n"
    for message in story.path:
        yield _text_message(story, message)
    for row in story.branches:
        title = _branch_title(row)
        yield f"\n{title}\n{'-' * len(title)}\n\n"
        for message in row:
            yield _text_message(story, message)


def _text_message(story: Story, message: Message) -> str:
    text = sanitize(message.content).strip()
    mark = {"user": "> ", "system": "* "}.get(message.role, "")
    lines = [
        wrapped
        for line in text.split("\n")
        for wrapped in textwrap.wrap(line, TEXT_COLUMNS - len(mark), break_long_words=False) or [""]
    ]
    body = "\n".join(f"{mark}{line}".rstrip() for line in lines) if text else ""
    remark = _remark(story, message)
    parts = [part for part in (body, f"({remark})" if remark else "") if part]
    return "\n".join(parts) + "\n\n" if parts else ""


# --- JSON lines ---------------------------------------------------------------------------------


def _json_lines(story: Story) -> Iterator[str]:
    """A line about the story, then a line for each message; ids and parents say how they hang together."""
    yield (
        json.dumps({"flower": 1, "session": story.stored.id, **_facts(story)}, ensure_ascii=False)
        + "\n"
    )
    rows = ((True, story.path), *((False, row) for row in story.branches))
    for active, row in rows:
        for message in row:
            fields = {
                "id": message.id,
                "parent": message.parent_id,
                "role": message.role,
                "content": sanitize(message.content),
                "status": message.status,
                "model": message.model,
                "created": message.created,
                "active": active,
            }
            yield json.dumps(fields, ensure_ascii=False) + "\n"


# --- shared -------------------------------------------------------------------------------------


def _facts(story: Story) -> dict[str, object]:
    models = dict.fromkeys(m.model for m in story.path if m.model)
    facts: dict[str, object] = {
        "title": story.title,
        "world": _line(story.world),
        "character": _line(story.character),
        "branch": _line(story.stored.branch),
        "created": _moment(story.stored.created),
        "updated": _moment(story.stored.updated),
        "exported": _moment(story.exported),
        "messages": len(story.path) + sum(len(row) for row in story.branches),
        "models": [_line(model) for model in models],
        "written_by": f"Flower {flower.__version__}",
    }
    return {key: value for key, value in facts.items() if value not in ("", [])}


def _place(story: Story) -> str:
    parts = (_line(story.world), f"with {_line(story.character)}" if story.character else "")
    return " · ".join(part for part in parts if part)


def _branch_title(row: Sequence[Message]) -> str:
    parent = row[0].parent_id
    return f"Another way, from message {parent}" if parent is not None else "Another beginning"


def _remark(story: Story, message: Message) -> str:
    """Returns what a reader should know about a message beside its text, "" for nothing."""
    parts = []
    if message.id in story.variants:
        number, count = story.variants[message.id]
        parts.append(f"message {message.id}, {number} of {count}")
    if message.status not in ENDED_WELL:
        parts.append(
            {"length": "cut at its greatest length", "error": "failed"}.get(
                message.status, message.status
            )
        )
    return ", ".join(parts)


def _line(text: str) -> str:
    return " ".join(sanitize(text).split())


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")

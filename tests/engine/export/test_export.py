"""Stories as files: every format whole and safe, never in another file's place."""

from __future__ import annotations

import json
import os
import sqlite3
import stat
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import trio.testing
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import MockClock

from flower.cli import main
from flower.engine.export import files as export_files
from flower.engine.export.render import FORMATS, Story, file_name, other_branches, render
from flower.engine.store import branches, exchanges, stories, streaming_text
from flower.engine.store.extra import MessageExtra, SessionExtra
from flower.engine.store.sqlite.connection import migrate
from flower.errors import CommandError
from flower.home import Home, open_home
from flower.protocol.messages import ErrorEvent, SystemUpdate
from flower.settings import safe_yaml
from tests.engine_world import engine_world

S = "s1"
NAMES = {"world:harbour": "The Harbour", "character:mara": "Mara"}


def build(db: sqlite3.Connection) -> None:
    stories.create_session(db, S, "harbour", "mara", "The tide is out.", 1.0)
    for line, reply in (
        ("I knock.", "*Nobody* answers.\n\nA gull cries."),
        ("I wait.", "Steps <b>come</b>"),
    ):
        made = exchanges.begin_exchange(db, S, line, "offline/narrator", None, 2.0)
        streaming_text.end(db, made.reply_id, reply, "complete")
    opened = branches.open_variant(db, S, None, "offline/narrator", 3.0)
    streaming_text.end(db, opened.reply_id, "```\nA letter:", "stopped")
    leaf = stories.active_leaf(db, S)
    stories.append(db, S, leaf, "system", "Roll 1d20: 17", "complete", now=4.0)


@pytest.fixture
def db() -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    migrate(connection)
    build(connection)
    yield connection
    connection.close()


def whole_text(db: sqlite3.Connection, form: str, *, whole: bool = False) -> str:
    return "".join(render(export_files.read_story(db, S, NAMES, 86_400.0, whole=whole), form))


def yaml_of(text: str) -> dict[str, Any]:
    value: Any = safe_yaml.load(text.encode()).value
    assert isinstance(value, dict)
    return value


# --- the formats --------------------------------------------------------------------------------


def test_markdown_reads_like_a_book(db: sqlite3.Connection) -> None:
    text = whole_text(db, "md")
    head, _, body = text.removeprefix("---\n").partition("---\n\n")
    facts = yaml_of(head)
    assert facts["title"] == "I knock."
    assert (facts["world"], facts["character"], facts["messages"]) == ("The Harbour", "Mara", 6)
    assert facts["exported"] == "1970-01-02T00:00:00Z"
    assert facts["models"] == ["offline/narrator"]
    assert body == (
        "# I knock.\n\n*The Harbour · with Mara*\n\nThe tide is out.\n\n> **You:** I knock.\n\n"
        "*Nobody* answers.\n\nA gull cries.\n\n> **You:** I wait.\n\n"
        "```\nA letter:\n```\n\n*(stopped)*\n\n*Roll 1d20: 17*\n\n"
    )


def test_the_players_line_breaks_stay_in_the_quote(db: sqlite3.Connection) -> None:
    exchanges.begin_exchange(db, S, "One\ntwo\n\nthree", "m", None, 5.0)
    assert "> **You:** One  \n> two\n>\n> three\n" in whole_text(db, "md")


def test_the_whole_tree_holds_every_message_once(db: sqlite3.Connection) -> None:
    text = whole_text(db, "md", whole=True)
    assert text.count("The tide is out.") == 1
    assert "## Another way, from message 4\n\nSteps \\<b>come\\</b>" in text
    assert "*(message 5, 1 of 2)*" in text
    rows = [json.loads(line) for line in whole_text(db, "jsonl", whole=True).splitlines()]
    assert sorted(row["id"] for row in rows[1:]) == [m.id for m in stories.tree(db, S)]
    parents = {row["id"]: row["parent"] for row in rows[1:]}
    assert all(parent is None or parent in parents for parent in parents.values())
    assert [row["id"] for row in rows[1:] if row["active"]] == [1, 2, 3, 4, 6, 7]


def test_text_is_wrapped_and_marked(db: sqlite3.Connection) -> None:
    exchanges.begin_exchange(db, S, "word " * 40, "m", None, 5.0)
    text = whole_text(db, "txt")
    assert max(len(line) for line in text.splitlines()) <= 78
    assert "> I knock.\n" in text
    assert "* Roll 1d20: 17\n" in text
    assert "(stopped)" in text


class Tags(HTMLParser):
    """Collects tags and checks that they are closed in order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: set[str] = set()
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.add(tag)
        if tag not in ("meta", "br", "hr"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


OURS = {"html", "head", "meta", "title", "style", "body", "header", "h1", "h3", "p", "main", "div", "em",
        "strong", "code", "br", "hr", "details", "summary"}  # fmt: skip


def test_html_has_no_tag_but_ours(db: sqlite3.Connection) -> None:
    made = exchanges.begin_exchange(db, S, "<script>alert(1)</script> & 'x'", "m", None, 5.0)
    streaming_text.end(db, made.reply_id, "# Night\n\n---\n\n**bold** _and_ `<i>` *soft*", "complete")
    tags = Tags()
    tags.feed(whole_text(db, "html", whole=True))
    assert tags.open == []
    assert tags.seen <= OURS
    assert {"h3", "hr", "strong", "em", "code", "details"} <= tags.seen
    assert "<script>alert(1)</script> & 'x'" in "".join(tags.text)


@settings(max_examples=150, deadline=None)
@given(st.text(max_size=200), st.sampled_from(["user", "assistant", "system"]), st.text(max_size=40))
def test_whatever_was_stored_no_file_holds_what_a_terminal_obeys(
    content: str, role: str, title: str
) -> None:
    escapes = "\x1b]52;c;eA==\x07\x1b[2J\x9b31m"
    message = stories.Message(
        1, S, None, role, content + escapes, "complete", "", None, 1.0, MessageExtra()
    )
    stored = stories.StoredSession(
        S, "w", "c", title + escapes, 1, 1.0, 1.0, 1, "b\x1b", 0, 0, SessionExtra()
    )
    story = Story(stored, "w\x1b", "c\x9b", [message], [[message]], {1: (1, 2)}, 1.0)
    for form in FORMATS:
        text = "".join(render(story, form))
        assert not [c for c in text if c not in "\n\t" and (ord(c) < 32 or 0x7F <= ord(c) < 0xA0)], form
        text.encode()
    head = "".join(render(story, "md")).removeprefix("---\n").partition("\n---\n")[0]
    assert yaml_of(head)["written_by"].startswith("Flower")
    tags = Tags()
    tags.feed("".join(render(story, "html")))
    assert tags.seen <= OURS


def test_other_branches_are_rows_without_forks(db: sqlite3.Connection) -> None:
    path = stories.active_path(db, S)
    rows = other_branches(stories.tree(db, S), path)
    assert [[m.id for m in row] for row in rows] == [[5]]


# --- files --------------------------------------------------------------------------------------


def test_a_files_name_is_the_title_and_the_day(db: sqlite3.Connection) -> None:
    stories.rename(db, S, "../Ça, c'est «très» — LONG" + "g" * 90)
    story = export_files.read_story(db, S, NAMES, 86_400.0, whole=False)
    name = file_name(story, "md", 2)
    assert name.startswith("ça-c-est-très-longggg")
    assert name.endswith("-1970-01-02-2.md")
    assert "/" not in name


@pytest.mark.parametrize(
    ("name", "goes_to"),
    [
        ("ember", "exports/ember.md"),
        ("ember.MD", "exports/ember.MD"),
        ("my story.txt", "exports/my story.txt.md"),
        ("deep/er.md", "exports/deep/er.md"),
        ("/tmp/x.md", "/tmp/x.md"),
        ("/etc/passwd", "/etc/passwd.md"),
    ],
)
def test_a_name_is_a_place_in_exports_unless_it_is_a_whole_path(name: str, goes_to: str) -> None:
    assert str(export_files.place(name, "md", Path("exports"))) == goes_to


@pytest.mark.parametrize("name", ["../x.md", "a/../../x", "~nobody-here-at-all/x"])
def test_a_relative_name_cannot_lead_out(name: str) -> None:
    with pytest.raises(CommandError):
        export_files.place(name, "md", Path("exports"))


def test_a_file_is_private_whole_and_never_in_anothers_place(
    db: sqlite3.Connection, tmp_path: Path
) -> None:
    story = export_files.read_story(db, S, NAMES, 86_400.0, whole=False)
    path = tmp_path / "new" / "a.md"
    export_files.write(story, "md", path, overwrite=False)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with pytest.raises(CommandError, match="exists already"):
        export_files.write(story, "txt", path, overwrite=False)
    assert path.read_text() == whole_text(db, "md")
    export_files.write(story, "txt", path, overwrite=True)
    assert path.read_text() == whole_text(db, "txt")
    assert os.listdir(path.parent) == ["a.md"], "no draft is left"
    with pytest.raises(CommandError, match="cannot be written"):
        export_files.write(story, "md", path / "under-a-file.md", overwrite=False)


# --- through the engine and the shell -----------------------------------------------------------


async def test_the_command_writes_says_where_and_asks_before_overwriting(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    async with engine_world(tmp_path / "flower.db") as world:
        face = await world.playing()
        await face.say_and_wait("I knock.")
        await face.say("/export md")
        await face.say("/export md")
        await face.say("/export html all My Story")
        await face.say("/export html my other story.html")
        await face.say("/export html My Story")
        await face.say("/export html My Story !")
        await trio.testing.wait_all_tasks_blocked()
        (refused,) = face.of(ErrorEvent)
        assert refused.content.endswith(
            "My Story.html exists; another name, or an ! at the end to overwrite it."
        )
        exports = tmp_path / "exports"
        assert sorted(path.name for path in exports.iterdir()) == [
            "My Story.html",
            "i-knock-1970-01-01-2.md",
            "i-knock-1970-01-01.md",
            "my other story.html",
        ]
        written = [u.content for u in face.of(SystemUpdate) if u.content.startswith("✓ Written")]
        assert written[0] == f"✓ Written: {exports / 'i-knock-1970-01-01.md'}"
        assert "**You:** I knock." in (exports / "i-knock-1970-01-01.md").read_text()


@pytest.fixture
def home_with_story(tmp_path: Path) -> Home:
    home = open_home(tmp_path / "home", {})
    connection = sqlite3.connect(home.database, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    migrate(connection)
    build(connection)
    connection.close()
    return home


def run(home: Home, *arguments: str) -> int:
    return main(["export", "--home", str(home.root), *arguments])


def test_the_shell_lists_prints_and_writes(
    home_with_story: Home, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = home_with_story.database.read_bytes()
    assert run(home_with_story) == 0
    assert "s1  I knock. (harbour, 7 messages)" in capsys.readouterr().out
    assert run(home_with_story, S) == 0
    assert "> **You:** I wait." in capsys.readouterr().out
    target = tmp_path / "story.html"
    assert run(home_with_story, S, "--all", "--output", str(target)) == 0
    assert target.read_text().startswith("<!DOCTYPE html>")
    assert run(home_with_story, S, "--output", str(target)) == 1
    assert "exists" in capsys.readouterr().err
    assert home_with_story.database.read_bytes() == before


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("s2",), "there is no story 's2'. Did you mean s1?"),
        (("s1", "--format", "pdf"), "--format takes one of: md, html, txt, jsonl"),
        (("s1", "--output", "/proc/x/story.md"), "cannot be written"),
    ],
)
def test_the_shell_answers_with_one_sentence(
    home_with_story: Home, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], says: str
) -> None:
    assert run(home_with_story, *arguments) == 1
    assert says in capsys.readouterr().err


def test_a_story_is_exported_while_an_engine_writes(
    home_with_story: Home, capsys: pytest.CaptureFixture[str]
) -> None:
    writer = sqlite3.connect(home_with_story.database, isolation_level=None)
    writer.execute("BEGIN IMMEDIATE")
    writer.execute("UPDATE messages SET content = 'half done' WHERE id = 2")
    assert run(home_with_story, S) == 0
    assert "half done" not in capsys.readouterr().out
    writer.execute("COMMIT")
    assert run(home_with_story, S) == 0
    assert "half done" in capsys.readouterr().out
    writer.close()


def test_a_home_without_stories_and_an_older_one_say_so(
    home: Home, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(home, S) == 1
    assert "there are no stories" in capsys.readouterr().err
    sqlite3.connect(home.database).close()
    home.database.touch()
    assert run(home, S) == 1
    assert "older Flower" in capsys.readouterr().err

"""The line mode: the same story as lines to read."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from flower import cli, launch
from flower.client import identity
from flower.client.events import Received
from flower.protocol import messages
from flower.protocol.messages import StoryTree
from flower.tui import plain
from flower.tui.plain import Plain, ready
from flower.tui.reading import Reader, Walk, wrapped_onto
from flower.tui.render.text import width
from flower.tui.state.model import LinkState
from tests.pty_world import ROOT
from tests.scripted_engine import ScriptedEngine
from tests.tui_world import Face, chunk, end, reply_begins, user_line


def read_out(face: Face, *steps: object) -> str:
    """Returns what a reader says while ``steps`` (events or keys) happen."""
    reader = Reader()
    said = ""
    for step in steps:
        before = face.model
        if isinstance(step, str):
            face.type(step)
        else:
            face.says(step)  # type: ignore[arg-type]  # events of the protocol
        said += reader.news(before, face.model)
    return said


def test_replies_are_read_sentence_by_sentence() -> None:
    """A screen reader must not be given half words."""
    face = Face().story()
    pieces = ["The door ", "opens. Be", "hind it is ", "the sea."]
    offset, events = 0, []
    for piece in pieces:
        events.append(chunk(piece, offset))
        offset += len(piece)
    reader = Reader()
    lines = []
    for event in (reply_begins(1), *events, end()):
        before = face.model
        face.says(event)
        if fresh := reader.news(before, face.model):
            lines.append(fresh)
    assert lines == ["Narrator: The door opens. ", "Behind it is the sea.\n"]


def test_ones_own_lines_are_not_read_back_but_others_are() -> None:
    face = Face().story()
    said = read_out(
        face, "hello<enter>", user_line("hello", "n-1", 1), user_line("from elsewhere", "x", 2)
    )
    assert "hello" not in said
    assert "You: from elsewhere\n" in said


def test_how_a_reply_ended_is_said() -> None:
    face = Face().story()
    said = read_out(face, reply_begins(1), chunk("Half a", 0), end(reason="stopped"))
    assert said.endswith("Narrator: Half a (stopped)\n")


def test_the_tree_of_a_story_is_read_as_lines_between_the_sentences() -> None:
    face = Face().story()
    reader = Reader()
    before = face.model
    face.says(reply_begins(1), chunk("It is late. And", 0))
    assert reader.news(before, face.model) == "Narrator: It is late. "
    outline = messages.State(tree=StoryTree("s1", 1, 1, 1, ()))
    assert reader.outline(messages.SystemUpdate("The tree:\n@ 1 \x1b[2JHello.", outline)) == (
        "\nThe tree:\n@ 1 [2JHello.\n"
    )
    assert reader.outline(messages.SystemUpdate("The tree:")) == ""


def test_nothing_but_printable_text_is_written() -> None:
    face = Face().story()
    said = read_out(face, reply_begins(1), chunk("\x1b]52;c;aGk=\x07evil\x1b[2J", 0), end())
    assert "\x1b" not in said
    assert "\x07" not in said


async def test_a_conversation_over_a_real_link(nursery: trio.Nursery, tmp_path: Path) -> None:
    url = await nursery.start(ScriptedEngine(words=20, rate=0).serve)
    out = io.StringIO()
    with identity.claim(tmp_path) as me:
        face = Plain(me, lambda: url, None, out)
        nursery.start_soon(face.link.run)
        with trio.fail_after(5):
            await face.wait_for(lambda model: model.link.state == "online")
            face.take("/list worlds")
            face.take("/world select glass")
            face.take("/session new")
            await face.wait_for(lambda model: bool(model.replica.session_id))
            face.take("I look around.")
            await face.wait_for(ready)
            assert not face.take("/quit")
    said = out.getvalue()
    assert "  ember: The Ember Coast - A coast of lamps" in said
    assert "  glass: Glass Harbour\n" in said
    assert "* World chosen.\n" in said
    assert said.rstrip().endswith(
        "The tide has gone out further than you have ever seen it. *Wet sand* shines to the horizon, and the"
    )
    nursery.cancel_scope.cancel()


def test_say_prints_the_reply_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async def ask(url: str) -> int:
        return await trio.to_thread.run_sync(
            lambda: plain.say("Hello?", home_dir=tmp_path, engine_url=lambda: url)
        )

    async def main() -> int:
        async with trio.open_nursery() as nursery:
            url = await nursery.start(ScriptedEngine(words=3, rate=0, story=2).serve)
            code = await ask(url)
            nursery.cancel_scope.cancel()
        return code

    assert trio.run(main) == 0
    assert capsys.readouterr().out == "The tide has\n"


def test_say_without_a_story_says_what_to_do(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async def main() -> int:
        async with trio.open_nursery() as nursery:
            url = await nursery.start(ScriptedEngine().serve)
            code = await trio.to_thread.run_sync(
                lambda: plain.say("Hello?", home_dir=tmp_path, engine_url=lambda: url)
            )
            nursery.cancel_scope.cancel()
        return code

    assert trio.run(main) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "No story is open" in captured.err


def test_say_gives_up_with_a_reason_when_no_engine_answers(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flower.client.connection.RECONNECT_EAGER_S", 0.0)
    assert plain.say("hi", home_dir=tmp_path, engine_url=lambda: "ws://127.0.0.1:9/ws/rpc") == 1
    assert "No engine answers" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("argv", "face"),
    [
        (["--plain"], "main"),
        (["tui", "--plain", "--url", "box"], "main"),
        (["say", "I", "knock.", "--url", "box"], "say I knock."),
    ],
)
def test_the_command_line_opens_the_line_mode(
    argv: list[str], face: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    monkeypatch.setattr(plain, "main", lambda **_: opened.append("main") or 0)
    monkeypatch.setattr(plain, "say", lambda text, **_: opened.append(f"say {text}") or 0)
    monkeypatch.setattr(launch.Launcher, "prepare", lambda self: None)
    assert cli.main([*argv, "--home", str(tmp_path / "home")]) == 0
    assert opened == [face]


def test_say_reads_a_pipe_and_refuses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    said: list[str] = []
    monkeypatch.setattr(plain, "say", lambda text, **_: said.append(text) or 0)
    monkeypatch.setattr("sys.stdin", io.StringIO("  I wait.\n"))
    argv = ["say", "--url", "box", "--home", str(tmp_path / "home")]
    assert cli.main(argv) == 0
    assert said == ["I wait."]
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    assert cli.main(argv) == 2
    assert "what shall be said" in capsys.readouterr().err


async def test_say_runs_commands_too(
    nursery: trio.Nursery, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    url = await nursery.start(ScriptedEngine(story=2).serve)
    for line, code, words in (
        ("/world select glass", 0, "World chosen"),
        ("/dance", 1, "no command"),
        ("/suggest", 0, "I wait."),  # what takes longer than the lines after it
    ):
        said = await trio.to_thread.run_sync(
            lambda line=line: plain.say(line, home_dir=tmp_path, engine_url=lambda: url)
        )
        assert (said, words in capsys.readouterr().out) == (code, True)
    nursery.cancel_scope.cancel()


class Closed(io.StringIO):
    """A pipe whose reader has seen enough."""

    def write(self, text: str) -> int:
        raise BrokenPipeError


async def test_who_reads_no_further_ends_nothing(
    nursery: trio.Nursery, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`flower say /help | head -1` ends as it began: without a word about pipes."""
    url = await nursery.start(ScriptedEngine(story=2).serve)
    monkeypatch.setattr(sys, "stdout", Closed())
    said = await trio.to_thread.run_sync(
        lambda: plain.say("/help", home_dir=tmp_path, engine_url=lambda: url)
    )
    assert said == 0
    nursery.cancel_scope.cancel()


# --- for people who hear the screen -------------------------------------------------------------


def told_story() -> Face:
    return Face().story(("user", "Hello?"), ("assistant", "A lamp. Nobody."), ("user", "I wait."))


def test_walking_reads_message_by_message_and_by_speaker() -> None:
    model = told_story().model
    walk, text = Walk().step(model, [":prev"])
    assert text == "3 of 3. You: I wait.\n"
    walk, text = walk.step(model, [":prev", "Narrator"])
    assert text == "2 of 3. Narrator: A lamp. Nobody.\n"
    assert "Narrator, message 2 of 3" in walk.who(model)
    assert "The Ember Coast" in walk.who(model)
    walk, text = walk.step(model, [":next"])
    assert text == "3 of 3. You: I wait.\n"
    assert walk.step(model, [":next"]) == (walk, "* There is nothing after this.\n")
    assert "nothing before" in Walk().step(Face().model, [":prev"])[1]


def test_a_lost_connection_is_said_once_and_its_end_too() -> None:
    face = told_story()
    reader, said = Reader(), ""
    for state, note in (("lost", "gone"), ("connecting", ""), ("lost", "gone"), ("online", "")):
        before = face.model
        face.model = face.model._replace(link=LinkState(state, note))
        said += reader.news(before, face.model)
    assert said == "! gone\n* The engine is there again.\n"


@pytest.mark.parametrize("piped", [True, False])
def test_a_program_does_not_hear_that_its_line_waits(piped: bool) -> None:
    """Nor the second time, when as many lines wait as before."""
    out = io.StringIO()
    client = Plain(identity.Identity("c", 0, None, None), lambda: "", None, out)
    client.model, client.piped = told_story().model, piped
    for waits in ("A line waits.", "Another line waits."):
        client.post(Received(messages.SystemUpdate(waits, messages.State(queued=1))))
    assert client.model.replica.queued == 1
    assert ("waits" in out.getvalue()) is not piped


def test_three_levels_of_detail() -> None:
    said = {}
    for level in (1, 2, 3):
        face, reader = told_story(), Reader()
        reader.detail = level
        said[level] = ""
        for event in (
            messages.SystemUpdate("Weather: fog."),
            reply_begins(1),
            messages.ChatReasoning("well then", messages.ChunkMeta("m", 1.0, "w", turn="t1")),
            chunk("Fog.", 0),
            end(),
        ):
            before = face.model
            face.says(event)
            said[level] += reader.news(before, face.model)
    assert "Weather" not in said[1]
    assert "Weather" in said[2]
    assert "thinking" not in said[2]
    assert "2 words of thinking" in said[3]


@given(st.text("ab \n漢", max_size=60), st.integers(0, 12), st.integers(4, 12))
def test_wrapping_changes_spaces_only_and_keeps_to_the_line(
    text: str, column: int, columns: int
) -> None:
    wrapped, at = wrapped_onto(text, column, columns)
    assert wrapped.replace("\n", " ").replace(" ", "") == text.replace("\n", " ").replace(" ", "")
    for place, line in enumerate(wrapped.split("\n")):
        used = width(line) + (column if place == 0 else 0)
        assert used <= columns or len(line.split()) <= 1 or line.endswith(" ")
    assert (
        at == width(wrapped.rsplit("\n", 1)[-1]) + (column if "\n" not in wrapped else 0) or " " in text
    )


def test_a_locale_without_curly_quotes_loses_no_reply(tmp_path: Path) -> None:
    program = (
        "import sys; from flower.tui.plain import _never_fail_to_print; _never_fail_to_print(); "
        "print('\\u201cCome in \\u2026\\u201d she says.')"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONIOENCODING": "iso-8859-1"},
        capture_output=True,
        check=True,
        cwd=ROOT,
    )
    assert done.stdout == b'"Come in ..." she says.\n'


async def test_say_ends_with_a_reason_when_its_engine_dies_in_mid_reply(
    nursery: trio.Nursery, tmp_path: Path
) -> None:
    engine = ScriptedEngine(story=2, words=4000, rate=20)
    with trio.fail_after(30):
        async with trio.open_nursery() as serving:
            url = await serving.start(engine.serve)
            asked = await nursery.start(say_to, url, tmp_path)
            while not engine.turn:
                await trio.sleep(0.02)
            serving.cancel_scope.cancel()
        code, reason = await asked.receive()
    assert code == 1
    assert "cut off" in reason


async def say_to(
    url: str, home: Path, *, task_status: trio.TaskStatus[trio.MemoryReceiveChannel[tuple[int, str]]]
) -> None:
    """Runs ``flower say`` and sends its exit code and what it says on stderr."""
    ended, receive = trio.open_memory_channel[tuple[int, str]](1)
    task_status.started(receive)
    done = await trio.run_process(
        [sys.executable, "-m", "flower", "--home", str(home), "say", "--url", url, "I wait."],
        cwd=ROOT,
        capture_stdout=True,
        capture_stderr=True,
        check=False,
        stdin=b"",
    )
    await ended.send((done.returncode, done.stderr.decode()))


def test_the_same_refusal_is_read_out_for_every_line() -> None:
    """Who hears the screen and sends twice must hear twice that nothing came of it."""
    out = io.StringIO()
    client = Plain(identity.Identity("c", 0, None, None), lambda: "", None, out)
    client.take("I look around.")
    client.take("I look around.")
    assert out.getvalue().count("First begin a story") == 2


def test_a_slip_behind_a_colon_is_no_line_of_the_story() -> None:
    """A word alone behind a colon is answered here; anything else with a colon may be a line."""
    out = io.StringIO()
    client = Plain(identity.Identity("c", 0, None, None), lambda: "", None, out)
    client.take(":help")
    assert "There is no :help; there are :prev" in out.getvalue()
    client.take(":) she says.")
    assert "First begin a story" in out.getvalue()

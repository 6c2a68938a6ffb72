"""Small rules of what goes on beside a story, one by one: drafts and suggestions, fetches, counters, a rest of days."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import trio
import trio.testing
from msgspec.structs import replace
from trio.testing import MockClock

from flower.engine.prompt.model import ChosenModel, thinking_room
from flower.engine.provider.llamacpp.fetch import Fetched
from flower.engine.sessions import drafts, fetches, joint, recap, suggestions
from flower.engine.sessions.fetches import Fetches, Reporter
from flower.engine.sessions.metrics import Histogram, Metrics
from flower.engine.sessions.model_choice import ModelSelector
from flower.engine.sessions.side_work import SideTasks
from flower.engine.sessions.turn_outcome import TurnOutcome
from flower.engine.store.extra import MessageExtra
from flower.engine.store.stories import Message
from flower.engine.token_counter import TokenCounter
from flower.errors import CommandError
from flower.protocol.messages import ErrorEvent
from tests.engine_world import engine_world
from tests.fakes import ScriptedProvider

# --- one piece of work for each client ----------------------------------------------------------


@pytest.mark.parametrize(("deadline_s", "minutes"), [(90.0, "2"), (600.0, "10")])
async def test_work_that_takes_too_long_ends_with_a_sentence(
    autojump_clock: MockClock, tmp_path: Path, deadline_s: float, minutes: str
) -> None:
    async with engine_world(tmp_path / "flower.db") as world:
        face = await world.face()
        tasks = SideTasks(world.nursery, deadline_s=deadline_s)
        tasks.begin(face.client, "draft", trio.sleep_forever)
        await trio.sleep(deadline_s - 1)
        assert tasks.running == 1
        await trio.sleep(2)
        assert tasks.running == 0
        said = face.notice
        assert said == f"✗ No draft: the model was not done in {minutes} minutes."


async def test_a_client_has_one_piece_of_work_and_may_end_it(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    async with engine_world(tmp_path / "flower.db") as world:
        face, other = await world.face(), await world.face()
        tasks = SideTasks(world.nursery)
        assert not tasks.cancel(face.client)
        tasks.begin(other.client, "draft", trio.sleep_forever)
        tasks.begin(face.client, "draft", trio.sleep_forever)
        tasks.begin(face.client, "draft", trio.sleep_forever)
        await trio.testing.wait_all_tasks_blocked()
        assert tasks.running == 2
        assert tasks.cancel(face.client)
        assert not tasks.cancel(face.client)
        await trio.testing.wait_all_tasks_blocked()
        assert tasks.running == 1


async def test_work_that_breaks_is_an_error_of_its_kind(tmp_path: Path) -> None:
    async with engine_world(tmp_path / "flower.db") as world:
        face = await world.face()
        tasks = SideTasks(world.nursery, kind="draft")

        async def refused() -> None:
            raise CommandError("not here.")

        async def broken() -> None:
            raise ZeroDivisionError

        for work, kind, text in (
            (refused, "draft", "No draft: not here."),
            (broken, "engine", "No draft: the engine failed (ZeroDivisionError); see its log."),
        ):
            tasks.begin(face.client, "draft", work)
            await trio.testing.wait_all_tasks_blocked()
            error = face.of(ErrorEvent)[-1]
            assert (error.metadata.kind, error.content) == (kind, text)


@pytest.mark.parametrize("window", [1025, 8192])
async def test_a_character_takes_a_page_or_half_of_a_small_window(tmp_path: Path, window: int) -> None:
    async with engine_world(tmp_path / "flower.db") as world:
        world.engine.runtime.services = replace(world.engine.services, context_tokens=window)
        face = await world.face()
        await face.say("/character draft a keeper")
        await trio.testing.wait_all_tasks_blocked()
        asked = world.provider.completions[-1]
    most = min(drafts.CHARACTER_TOKENS, window // 2)
    assert (asked.context_tokens, asked.max_tokens) == (window, most + thinking_room(window))


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ('"I go."', "I go."),
        ("“I go.”", "I go."),
        ('"I go," I say, "now."', '"I go," I say, "now."'),
        ('"', '"'),
        ("I go.\n\nThen more.", "I go."),
        ('I go."', 'I go."'),
        ('"I go.', '"I go.'),
        ("I “go”", "I “go”"),
        ("I“go”", "I“go”"),
        ('""I go."', '""I go."'),
        ('"I go.""', '"I go.""'),
        ('""', ""),
        ("a" * (drafts.DRAFT_CHARS + 1), "a" * drafts.DRAFT_CHARS),
    ],
)
def test_a_drafted_line_is_one_paragraph_without_quotes_around_it(text: str, line: str) -> None:
    assert drafts.cleaned(text) == line


@pytest.mark.parametrize(
    ("line", "bare", "numbered"),
    [
        ("1. Go.", "Go.", True),
        ("12) Go.", "Go.", True),
        ("3: Go.", "Go.", True),
        ("3 men come.", "3 men come.", False),
        ("a) Go.", "Go.", True),
        ("Abc", "Abc", False),
        ("- Go.", "Go.", True),
        ('**1.** "Go."', "Go.", True),
        ('1. "Go," he says, "now."', '"Go," he says, "now."', True),
        ('1. "', '"', True),
        ('1. ""', "", True),
        ('1. I go."', 'I go."', True),
        ('1. "I go.', '"I go.', True),
        ("1. I“go”", "I“go”", True),
        ('1. ""I go."', '""I go."', True),
        ('1. "I go.""', '"I go.""', True),
    ],
)
def test_an_offered_line_loses_its_number(line: str, bare: str, numbered: bool) -> None:
    assert suggestions._bare(line) == (bare, numbered)


# --- fetches ------------------------------------------------------------------------------------


async def test_one_file_is_fetched_at_a_time_and_its_size_told(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    running, said = Fetches(nursery), list[str]()

    async def fetch(report: Callable[[int, int], None]) -> Fetched:
        await trio.sleep(10)
        return Fetched(Path("a.gguf"), 1_660_000_000, "5a5a")

    async def done() -> None:
        said.append("done")

    assert not running.stop()
    running.start("a.gguf", fetch, said.append, done)
    with pytest.raises(CommandError, match="One file is being fetched"):
        running.start("b.gguf", fetch, said.append, done)
    await trio.sleep(11)
    told = "✓ a.gguf is there (1.7 GB, SHA-256 5a5a). Play with it: /model local/a"
    assert said == ["done", told]
    running.start("b.gguf", fetch, said.append, done)
    assert running.stop()
    await trio.testing.wait_all_tasks_blocked()
    assert "no longer being fetched" in said[-1]
    assert not running.stop()


def test_progress_is_told_after_a_while_and_a_step() -> None:
    now, said = [0.0], list[str]()
    reporter = Reporter("a", said.append, lambda: now[0])
    for at, done in ((0.0, 0), (2.0, 49), (2.0, 50), (3.9, 500), (4.0, 99), (4.0, 100), (10.0, 1000)):
        now[0] = at
        reporter.report(done * 10**6, 10**9)
    assert [line.split(": ")[1].split(";")[0] for line in said] == [
        "5% of 1.0 GB, 38 s left",
        "10% of 1.0 GB, 36 s left",
        "100% of 1.0 GB, 0 s left",
    ]


def test_of_a_file_of_unknown_size_what_came_is_told() -> None:
    now, said = [0.0], list[str]()
    reporter = Reporter("a", said.append, lambda: now[0])
    now[0] = fetches.STEP_S
    reporter.report(7_400_000, 0)
    assert said == ["Fetching a: 7 MB; /models get stop ends it."]


@pytest.mark.parametrize(
    ("seconds", "told"), [(119, "119 s"), (120, "2 min"), (149, "2 min"), (151, "3 min")]
)
def test_what_is_left_is_told_in_seconds_or_minutes(seconds: float, told: str) -> None:
    assert fetches._time(seconds) == told


# --- counters -----------------------------------------------------------------------------------


def test_a_value_counts_at_the_first_bound_it_is_not_above() -> None:
    found = Histogram((1.0, 2.0))
    for value in (0.5, 1.0, 1.5, 2.0, 2.5):
        found.add(value)
    assert (found.counts, found.total) == ([2, 2, 1], 7.5)
    assert list(found.lines("x")) == [
        'x_bucket{le="1.0"} 2', 'x_bucket{le="2.0"} 4', 'x_bucket{le="+Inf"} 5', "x_sum 7.500000", "x_count 5",
    ]  # fmt: skip


CHOSEN = ChosenModel(
    id="scripted/one", provider=ScriptedProvider(), name="one", info=None, counter=TokenCounter()
)
OUTCOME = TurnOutcome(
    reason="done",
    saved=True,
    model=CHOSEN,
    counter=TokenCounter(),
    tokens=7,
    first_text_s=None,
    elsewhere=False,
    trouble="",
    prompt=None,
)


def test_turns_are_counted_with_their_ends_and_the_rate_of_the_model_that_wrote() -> None:
    found = Metrics()
    for outcome in (
        replace(OUTCOME, rate=4.0, first_text_s=0.0),
        replace(OUTCOME, rate=0.0),
        replace(OUTCOME, rate=9.0, elsewhere=True, trouble="network"),
        replace(OUTCOME, rate=9.0, model=None, reason="error", trouble="network"),
    ):
        found.turn_ended(outcome)
    found.error("auth")
    found.refusal(403)
    found.refusal(403)
    assert (found.turns, found.tokens) == ({"done": 3, "error": 1}, 28)
    assert (found.errors, found.refused) == ({"network": 2, "auth": 1}, {"403": 2})
    assert (found.rates, found.first_text.counts[0]) == ({"scripted/one": 4.0}, 1)


async def test_what_a_turn_has_taught_is_kept_of_the_model_that_wrote(tmp_path: Path) -> None:
    async with engine_world(tmp_path / "flower.db") as world:
        models, learned = ModelSelector(world.engine.runtime), TokenCounter()
        narrow = replace(CHOSEN, context_limit=2048)
        models.learn(replace(OUTCOME, model=None, counter=learned))
        models.learn(replace(OUTCOME, model=narrow, counter=learned, elsewhere=True))
        assert models.select("scripted/one")[0].context_limit is None
        models.learn(replace(OUTCOME, model=narrow, counter=learned))
        models.learn(replace(OUTCOME, counter=learned))
        found, note = models.select("scripted/one")
        assert (found.context_limit, found.counter is learned, note) == (2048, True, "")
        found, note = models.select("scripted/one", "nobody/none")
        assert found.id == "scripted/one"
        assert note.endswith(" The story's model speaks instead.")
        found, note = models.select("scripted/one", "scripted/two")
        assert (found.id, [name for _, name in found.fallbacks], note) == ("scripted/two", ["one"], "")


# --- a continuation and a rest ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "said", "count"),
    [
        ("the old lamp", "lamp burns", 4),
        ("the old lam", "lamp burns", 3),  # the word that was cut, as a whole
        ("the oil", "oil burns", 0),  # too short: it can be meant twice
        ("oil", "oil burns", 3),  # all there was
        ("a clamp", "lamp burns", 0),  # the end of another word
        ("clamp", "lamp burns", 0),
        ("x-lam", "-lam burns", 4),  # a dash is the end of no word
        ("it is", "isle", 2),
        ("an a", "apple", 0),
        ("here", "there", 0),
        ("he waits - ", "- and", 0),  # a dash and a space are no word
        ("", "lamp", 0),
    ],
)
def test_only_whole_words_of_the_end_are_said_again(before: str, said: str, count: int) -> None:
    assert joint._repeated(before, said) == count


def test_a_long_end_may_be_said_again_and_nothing_else() -> None:
    end = "the lamp burns " * 20
    assert joint._repeated(end, end) == len(end) == 300
    assert joint._repeated(f"Now {end}", f"{end}and") == 300


def line(number: int, role: str, content: str) -> Message:
    return Message(number, "s", None, role, content, "complete", "", None, 0.0, MessageExtra())


def test_what_was_spoken_is_what_the_player_and_the_narrator_said() -> None:
    path = [line(1, "assistant", "Fog."), line(2, "user", "I wait."), line(3, "system", "Dusk.")]
    spoken = [(one.role, one.content) for one in recap._spoken(path)]
    assert spoken == [("assistant", "Fog."), ("user", "I wait.")]


def test_after_a_rest_the_last_line_and_the_last_reply_are_told() -> None:
    path = [
        line(1, "assistant", "The tide is out."),
        line(2, "user", "Qua. Second."),
        line(3, "assistant", "Fog comes. It thickens."),
        line(4, "user", "Xyz."),
        line(5, "assistant", "The bell rings. Nobody comes."),
        line(6, "assistant", " "),
    ]
    told = recap.recap("Harbour", 2 * 86_400, path)
    assert told.startswith("Previously in Harbour, 2 days ago:\n\n")
    assert told.endswith("\n\nIn the end: The bell rings.")
    assert recap.recap("Harbour", 0, path[:1]) == ""
    assert recap.recap("Harbour", 0, path[1:2]) == ""

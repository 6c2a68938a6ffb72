"""Small rules of a request, one by one: which window and which summary it has, who counts it, how a reply goes on."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from msgspec.structs import replace

from flower.engine.prompt import request
from flower.engine.prompt.assemble import Inset
from flower.engine.prompt.lore_entries import LoreEntries
from flower.engine.prompt.model import ChosenModel, TokenRoom
from flower.engine.prompt.record import NOTHING as NOTHING_FRESH
from flower.engine.provider.base import PromptMessage
from flower.engine.store.search import Summary
from flower.engine.token_counter import TokenCounter
from tests.engine.prompt.test_moment_rules import context_of
from tests.engine.prompt.test_prompt_rules import turn_input
from tests.engine.prompt.test_shelf_rules import line
from tests.engine.prompt.test_window_rules import COUNTER
from tests.fakes import ScriptedProvider

# --- which window, which summary ----------------------------------------------------------------


@pytest.mark.parametrize(("continues", "depths"), [(False, [-1, 0, 2]), (True, [0, 0, 2])])
def test_nothing_goes_below_a_reply_that_goes_on(
    monkeypatch: pytest.MonkeyPatch, continues: bool, depths: list[int]
) -> None:
    seen: dict[str, Any] = {}
    monkeypatch.setattr(request, "assemble", lambda *args, **fields: seen.update(fields, lines=args[1]))
    insets = tuple(Inset(str(depth), depth) for depth in (-1, 0, 2))
    whole = replace(
        context_of(line(1), line(2, "assistant"), insets=insets), entries=LoreEntries(insets=insets)
    )
    services: Any = None
    for prefill, more in ((True, 0), (False, 1)):
        turn = replace(turn_input(continues=continues), leaf=7)
        inputs = request._Inputs(services, turn, whole, TokenRoom(9_000, 100, 4_000), prefill)
        request._assemble(inputs, NOTHING_FRESH, COUNTER, 1, None, 5)
        for name in ("insets", "entries"):
            assert sorted(inset.depth for inset in seen[name]) == [depth + more for depth in depths]
        assert (seen["window_start"], seen["summarised"], seen["budget"]) == (1, 5, 4_000)
        assert [one.id for one in seen["lines"]] == ([1, 2] if prefill else [1, 2, 8])


@pytest.mark.parametrize("prefill", [False, True])
def test_a_line_has_the_room_of_its_share_for_what_is_recalled(
    monkeypatch: pytest.MonkeyPatch, prefill: bool
) -> None:
    seen: list[object] = []
    monkeypatch.setattr(request, "fresh_of", lambda *args: seen.append(args[2:]) or NOTHING_FRESH)
    services: Any = None
    inputs = request._Inputs(
        services, turn_input(), context_of(line(1)), TokenRoom(9_000, 100, 4_000), prefill
    )
    assert inputs.fresh(COUNTER, 3) is NOTHING_FRESH
    assert seen == ([] if prefill else [(3, int(4_000 * request.RECALLED_SHARE))])


@pytest.mark.parametrize(
    ("start", "moved", "sizes", "windows"),
    [
        (1, 1, {1: 2}, [1]),  # it rests
        (1, 4, {1: 2, 4: 2}, [1]), (1, 4, {1: 2, 4: 1}, [1]),  # nothing has gone out of view
        (1, 4, {1: 2, 4: 3}, [1, 4]), (None, 4, {None: 2, 4: 3}, [None, 4]),
    ],
)  # fmt: skip
async def test_what_went_out_of_view_with_the_window_is_given_again(
    monkeypatch: pytest.MonkeyPatch,
    start: int | None,
    moved: int,
    sizes: dict[int | None, int],
    windows: list[int | None],
) -> None:
    tried: list[int | None] = []

    async def settle(_: object, fresh: Any, __: object, begin: int | None) -> Any:
        tried.append(begin)
        assert fresh.size == sizes[begin]
        return SimpleNamespace(window_start=int(str(moved)))

    monkeypatch.setattr(request, "_settle_window", settle)
    inputs: Any = SimpleNamespace(fresh=lambda _, begin: SimpleNamespace(size=sizes[begin]))
    fresh, _ = await request._settle(inputs, COUNTER, start)
    assert tried == windows
    assert fresh.size == sizes[windows[-1]]


@pytest.mark.parametrize(
    ("ready", "start", "moved", "above", "read"),
    [
        (None, 300, 400, [None], []), (299, 300, 300, [299], []), (300, 300, 300, [0], [300]),
        (350, 300, 300, [0], [300]),
        (299, 300, 400, [299, 299], []), (350, 300, 400, [0, 350], [300]), (400, 300, 400, [0, 0], [300, 400]),
        (299, None, 300, [None, 299], []), (350, None, 300, [None, 0], [300]), (350, None, None, [None], []),
    ],
)  # fmt: skip
async def test_a_prompt_has_the_summary_that_ends_above_its_window(
    monkeypatch: pytest.MonkeyPatch,
    ready: int | None,
    start: int | None,
    moved: int | None,
    above: list[int | None],
    read: list[int],
) -> None:
    """One that reaches into it waits for the next move. ``above`` 0: an older one, which is read."""
    asked: list[int] = []
    used: list[int | None] = []

    async def older(_: object, __: int, *, before: int) -> Summary:
        asked.append(before)
        return Summary(0, "Older.")

    def assemble(
        _: object, __: object, ___: object, begin: int | None, one: Any, behind: int | None
    ) -> Any:
        used.append(one.last_id if one is not None else None)
        assert behind == ready
        return SimpleNamespace(window_start=None if moved is None else int(str(moved)))

    monkeypatch.setattr(request, "_assemble", assemble)
    newest = None if ready is None else Summary(ready, "Newest.")
    inputs: Any = SimpleNamespace(
        context=SimpleNamespace(summary=newest),
        services=SimpleNamespace(database=SimpleNamespace(read=older)),
        turn=turn_input(),
    )
    await request._settle_window(inputs, NOTHING_FRESH, COUNTER, start)
    assert (used, asked) == (above, read)


@pytest.mark.parametrize(
    ("checked", "tokens", "exact", "asks"),
    [
        (False, 10, 900, True), (True, 10, 900, False), (True, 3_200, 900, False), (True, 3_201, 900, True),
        (False, 10, None, True),
    ],
)  # fmt: skip
async def test_an_exact_count_is_asked_for_where_it_is_worth_it(
    monkeypatch: pytest.MonkeyPatch, checked: bool, tokens: int, exact: int | None, asks: bool
) -> None:
    """With a model of which nothing is known, and near the end of the budget."""
    counts: list[str] = []
    settled: list[TokenCounter] = []
    provider = ScriptedProvider()

    async def count_tokens(text: str) -> int | None:
        counts.append(text)
        return exact

    async def settle(_: object, counter: TokenCounter, __: object) -> Any:
        settled.append(counter)
        messages = (PromptMessage("user", "a" * 1_000), PromptMessage("assistant", "b" * 1_000))
        made = SimpleNamespace(
            tokens=tokens, messages=messages, system=(), tail=(), window_start=1, manifest=()
        )
        return NOTHING_FRESH, made

    monkeypatch.setattr(provider, "count_tokens", count_tokens)
    monkeypatch.setattr(request, "_settle", settle)
    monkeypatch.setattr(ChosenModel, "room", lambda *_: TokenRoom(9_000, 100, 4_000))
    model = ChosenModel(id="m", provider=provider, name="m", counter=TokenCounter(1.0, checked))
    services: Any = SimpleNamespace(seed=1, stop_at_player=False)
    whole = context_of(line(1))
    prompt = await request.build_prompt(services, turn_input(), model, whole, 1)
    assert counts == (["a" * 1_000 + "\n" + "b" * 1_000] if asks else [])
    learnt = asks and exact is not None
    assert len(settled) == (2 if learnt else 1)
    assert (prompt.counter is model.counter) is not learnt
    assert (prompt.completion.max_tokens, prompt.completion.context_tokens) == (100, 9_000)
    if learnt:
        assert prompt.counter.scale == pytest.approx(900 / (2 * TokenCounter().count("a" * 1_000)))


def test_a_reply_goes_on_in_its_own_words_where_the_model_can() -> None:
    class Prefilling(ScriptedProvider):
        def prefills(self, model: str, template: object) -> bool:
            return model == "m" and template is None

    def exactly(provider: ScriptedProvider, name: str = "m", template: Any = None) -> bool:
        return request.goes_on_exactly(ChosenModel(id="x", provider=provider, name=name), template)

    assert exactly(Prefilling())
    assert not exactly(Prefilling(), "n")
    assert not exactly(Prefilling(), template="server")
    assert not exactly(ScriptedProvider())


def test_who_speaks_is_told_what_they_alone_know() -> None:
    said = line(3, told="For the model.", recalled="", private=(("mara", "- M"), ("olaf", "- O")),
                stands=(("a", " Rain. "), ("b", "Fog.")))  # fmt: skip
    found = request.line_of(said, {"olaf"})
    assert (found.id, found.role, found.content) == (3, "user", "For the model.")
    assert (found.state, "- O" in found.recalled, "- M" in found.recalled) == (
        "Rain.\nFog.",
        True,
        False,
    )
    assert request.line_of(said).recalled == ""


@pytest.mark.parametrize(
    ("continues", "roles", "prefills", "prefill"),
    [
        (True, ("user", "assistant"), True, True), (False, ("user", "assistant"), True, False),
        (True, ("assistant", "user"), True, False),
        (True, ("user", "system"), True, False), (True, ("user", "assistant"), False, False), (True, (), True, False),
        (True, ("user", "assistant", "user"), True, False),
    ],
)  # fmt: skip
async def test_a_reply_is_prefilled_where_it_goes_on_and_the_model_can(
    monkeypatch: pytest.MonkeyPatch,
    continues: bool,
    roles: tuple[str, ...],
    prefills: bool,
    prefill: bool,
) -> None:
    class StopError(Exception):
        pass

    seen: list[bool] = []

    async def settle(inputs: Any, *_: object) -> Any:
        seen.append(inputs.prefill)
        raise StopError

    monkeypatch.setattr(request, "_settle", settle)
    monkeypatch.setattr(request, "goes_on_exactly", lambda *_: prefills)
    path = [line(number, role) for number, role in enumerate(roles, 1)]
    services: Any = SimpleNamespace()
    model = ChosenModel(id="m", provider=ScriptedProvider(), name="m")
    with pytest.raises(StopError):
        await request.build_prompt(
            services, turn_input(continues=continues), model, context_of(*path), None
        )
    assert seen == [prefill]

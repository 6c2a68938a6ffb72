"""What servers really send: every family reads it, loses no word of it and calls nothing an error that is none."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Sequence
from typing import Any

import httpx
import pytest
from trio.testing import MockClock

from flower.engine.provider.base import Finish, Piece, Reasoning, Spent, Text, Withdrawn
from flower.engine.provider.endpoint import Timeouts
from flower.engine.provider.retry import Stream
from flower.errors import ProviderError
from tests.provider_world import FAMILIES, Body, Family, Network, completion, make_provider

KINDS = ("openai", "ollama", "gemini", "anthropic", "koboldcpp")
every_family = pytest.mark.parametrize("family", [FAMILIES[kind] for kind in KINDS], ids=KINDS)
chat_families = pytest.mark.parametrize(
    "family", [FAMILIES[kind] for kind in ("openai", "koboldcpp")], ids=["openai", "koboldcpp"]
)


def delta(family: Family, text: str) -> dict[str, Any]:
    """Returns the family's event for a piece of text."""
    match family.kind:
        case "ollama":
            return {"message": {"role": "assistant", "content": text}, "done": False}
        case "gemini":
            return {"candidates": [{"content": {"parts": [{"text": text}]}, "index": 0}]}
        case "anthropic":
            return {
                "type": "content_block_delta",
                "index": 0,
                "delta": {"type": "text_delta", "text": text},
            }
        case _:
            return {"choices": [{"index": 0, "delta": {"content": text}, "finish_reason": None}]}


def finish(family: Family) -> dict[str, Any]:
    """Returns the family's event that says the reply is complete."""
    match family.kind:
        case "ollama":
            return {"message": {"content": ""}, "done": True, "done_reason": "stop", "eval_count": 2}
        case "gemini":
            return {"candidates": [{"content": {"parts": []}, "finishReason": "STOP", "index": 0}]}
        case "anthropic":
            return {
                "type": "message_delta",
                "delta": {"stop_reason": "end_turn"},
                "usage": {"output_tokens": 2},
            }
        case _:
            return {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}


def event(family: Family, document: object) -> bytes:
    """Returns an event as the family frames it; bytes are taken as they are."""
    data = (
        document if isinstance(document, bytes) else json.dumps(document, ensure_ascii=False).encode()
    )
    return data + b"\n" if family.kind == "ollama" else b"data: " + data + b"\n\n"


def reply(family: Family, *texts: str) -> list[bytes]:
    return [*(event(family, delta(family, text)) for text in texts), event(family, finish(family))]


def answer(family: Family, *parts: bytes | float, status: int = 200, **headers: str) -> httpx.Response:
    names = {"content_type": family.content_type, **headers}
    fields = {name.replace("_", "-"): value for name, value in names.items() if value}
    return httpx.Response(status, headers=fields, stream=Body(*parts))


Heard = tuple[str, str, ProviderError | None, list[Piece], int]


async def hear(
    family: Family, *answers: httpx.Response, names: Sequence[str] = (), provider: Any = None
) -> Heard:
    """Returns story, thinking, error, all pieces, and how often the server was asked."""
    network = Network(*answers)
    provider = provider or make_provider(family, network)
    story = thought = ""
    pieces: list[Piece] = []
    error: ProviderError | None = None
    async with Stream(provider, completion(player_names=tuple(names))) as listening:
        try:
            async for piece in listening:
                pieces.append(piece)
                match piece:
                    case Text(text):
                        story += text
                    case Reasoning(text):
                        thought += text
                    case Withdrawn():
                        story = ""
                    case _:
                        pass
        except ProviderError as failed:
            error = failed
    return story, thought, error, pieces, len(network.requests)


# --- thinking in the text


@every_family
async def test_thinking_without_a_start_is_taken_back_and_expected_from_then_on(family: Family) -> None:
    """The first time what was told is withdrawn; the next time nothing of it is told."""
    parts = reply(family, "Let me think. ", "</think>\n\n", "The gate opens.")
    network = Network(answer(family, *parts), answer(family, *parts))
    provider = make_provider(family, network)
    story, thought, error, pieces, _ = await hear(family, provider=provider)
    assert (story, thought.strip(), error) == ("The gate opens.", "Let me think.", None)
    assert Withdrawn() in pieces
    again = await hear(family, provider=provider)
    assert again[:3] == ("The gate opens.", "Let me think. ", None)
    assert Withdrawn() not in again[3]
    plain = await hear(
        family, provider=_fed(provider, network, answer(family, *reply(family, "It ", "shuts.")))
    )
    assert plain[0] == "It shuts."
    assert plain[2] is None


def _fed(provider: Any, network: Network, response: httpx.Response) -> Any:
    network.answers[:] = [response]
    return provider


@every_family
async def test_thinking_alone_is_one_sentence_and_one_try(family: Family) -> None:
    """A model that only thought is not asked, and paid, again."""
    story, thought, error, _, asked = await hear(
        family, answer(family, *reply(family, "<think>hm", "</think>"))
    )
    assert (story, thought, asked) == ("", "hm", 1)
    assert error is not None
    assert "only thought" in str(error)


@chat_families
@pytest.mark.parametrize(
    "field",
    [
        {"reasoning": "hm"},
        {"reasoning_content": "hm"},
        {"reasoning_text": "hm"},
        {"thinking": "hm"},
        {"reasoning_details": [{"type": "reasoning.text", "text": "hm"}]},
        {"reasoning_details": [{"type": "reasoning.summary", "summary": "hm"}]},
        {"reasoning": {"content": "hm"}},
    ],
)
async def test_every_field_for_thinking_is_thinking(family: Family, field: dict[str, Any]) -> None:
    """Thinking beside the text is never told as story, whatever the server calls it."""
    thinking = event(family, {"choices": [{"delta": field}]})
    story, thought, error, _, _ = await hear(
        family, answer(family, thinking, *reply(family, "The gate opens."))
    )
    assert (story, thought, error) == ("The gate opens.", "hm", None)


# --- framing


IDLE = [
    b"",
    b"heartbeat",
    b"null",
    b"5",
    b'"ping"',
    b"[]",
    b"{}",
    b"{broken",
]


@every_family
@pytest.mark.parametrize("idle", IDLE)
async def test_heartbeats_cost_nothing(family: Family, idle: bytes) -> None:
    """What is no event between events is a sign of life and nothing else."""
    first, *rest = reply(family, "The gate ", "opens.")
    story, _, error, _, asked = await hear(family, answer(family, first, event(family, idle), *rest))
    assert (story, error, asked) == ("The gate opens.", None, 1)


@every_family
@pytest.mark.parametrize("name", [b"ping", b"heartbeat", b"keep-alive"])
async def test_ping_events_are_ignored(family: Family, name: bytes) -> None:
    """An event of that name says nothing, whatever it holds."""
    if family.kind == "ollama":
        pytest.skip("its lines have no names")
    ping = b"event: " + name + b"\ndata: still here\n\n"
    first, *rest = reply(family, "The gate ", "opens.")
    assert (await hear(family, answer(family, first, ping, *rest)))[:3] == ("The gate opens.", "", None)


@every_family
@pytest.mark.parametrize(
    "done", [b"[DONE]", b" [DONE]", b"[DONE] ", b"[done]", b'"[DONE]"', b"junk", b"{x"]
)
async def test_nothing_after_a_finish_reason_is_an_error(family: Family, done: bytes) -> None:
    """A complete reply is complete, whatever follows."""
    story, _, error, pieces, asked = await hear(
        family, answer(family, *reply(family, "The gate opens."), event(family, done), b"trash")
    )
    assert (story, error, asked) == ("The gate opens.", None, 1)
    assert pieces[-1] == Finish("done")


@every_family
async def test_an_error_after_a_finish_reason_is_none(family: Family) -> None:
    """A server that fails after the last word has done its work."""
    late = event(family, {"error": {"message": "cannot write the log"}})
    story, _, error, _, _ = await hear(family, answer(family, *reply(family, "The gate opens."), late))
    assert (story, error) == ("The gate opens.", None)


@every_family
async def test_one_line_feed_between_events(family: Family) -> None:
    """Servers that forget the blank line are read as well."""
    body = b"".join(reply(family, "The ", "gate ", "opens.")).replace(b"\n\n", b"\n")
    assert (await hear(family, answer(family, body)))[:3] == ("The gate opens.", "", None)


@every_family
@pytest.mark.parametrize("kind", ["application/json", "text/plain", "text/html", ""])
@pytest.mark.parametrize("status", [200, 201])
async def test_a_stream_is_known_by_its_content(family: Family, kind: str, status: int) -> None:
    """What the head calls a body does not matter."""
    response = answer(family, *reply(family, "The gate opens."), status=status, content_type=kind)
    assert (await hear(family, response))[:3] == ("The gate opens.", "", None)


@chat_families
async def test_a_whole_completion_labelled_plain_text(family: Family) -> None:
    """A server that does not stream, and calls its JSON text."""
    body = {"choices": [{"message": {"content": "The gate opens."}, "finish_reason": "stop"}]}
    response = answer(family, json.dumps(body, indent=2).encode(), content_type="text/plain")
    assert (await hear(family, response))[:3] == ("The gate opens.", "", None)


# --- odd values and broken characters


ODD: list[Callable[[Family], bytes]] = [
    lambda family: b'{"created": NaN, ' + json.dumps(delta(family, "x"))[1:].encode(),
    lambda family: b'{"created": -Infinity, ' + json.dumps(delta(family, "x"))[1:].encode(),
    lambda family: json.dumps({**delta(family, "x"), "usage": {"prompt_tokens": 3.0}}).encode(),
    lambda family: json.dumps({**delta(family, "x"), "usage": "none", "prompt_progress": "x"}).encode(),
    lambda family: json.dumps(
        {**delta(family, "x"), "timings": [], "x_groq": 1, "model": None}
    ).encode(),
]


@every_family
@pytest.mark.parametrize("odd", ODD)
async def test_what_nobody_needs_may_be_odd(family: Family, odd: Callable[[Family], bytes]) -> None:
    """The text counts, the rest is left out."""
    parts = [event(family, odd(family)), *reply(family, "y")]
    assert (await hear(family, answer(family, *parts)))[:3] == ("xy", "", None)


@every_family
@pytest.mark.parametrize(
    "odd",
    [
        {"choices": [None]},
        {"choices": [{"delta": []}]},
        {"choices": {}},
        {"choices": [], "candidates": [None]},
        {"message": [], "candidates": [{"content": {"parts": [5]}}]},
        {"type": "content_block_delta", "delta": []},
        {"type": "message_start", "message": []},
    ],
)
async def test_odd_shapes_are_passed_over(family: Family, odd: dict[str, Any]) -> None:
    """A document of another shape than the API's costs nothing."""
    first, *rest = reply(family, "The gate ", "opens.")
    assert (await hear(family, answer(family, first, event(family, odd), *rest)))[:3] == (
        "The gate opens.",
        "",
        None,
    )


@every_family
@pytest.mark.parametrize("raw", [b"\t", b"\x00", b"\x0b"])
async def test_raw_control_characters_in_strings(family: Family, raw: bytes) -> None:
    """Servers that do not escape them are read all the same."""
    document = json.dumps(delta(family, "a@b")).encode().replace(b"@", raw)
    story, _, error, _, _ = await hear(family, answer(family, event(family, document), *reply(family)))
    assert (story, error) == (f"a{raw.decode()}b", None)


@every_family
async def test_halves_of_characters_are_joined(family: Family) -> None:
    """A surrogate pair or a character's bytes in two deltas are one character."""
    halves = [json.dumps(delta(family, half)).encode() for half in ("The \ud83c", "\udf38 gate ")]
    first, second = "🌸 opens".encode()[:2], "🌸 opens".encode()[2:]
    cut = [json.dumps(delta(family, "@")).encode().replace(b"@", part) for part in (first, second)]
    parts = [event(family, document) for document in [*halves, *cut]]
    story, _, error, _, _ = await hear(family, answer(family, *parts, *reply(family, ".")))
    assert (story, error) == ("The 🌸 gate 🌸 opens.", None)


@every_family
async def test_what_stays_broken_is_a_replacement_character(family: Family) -> None:
    """A lone half is U+FFFD and no error."""
    broken = [json.dumps(delta(family, text)).encode() for text in ("a\ud83cb", "c\udfff")]
    parts = [event(family, document) for document in broken] + reply(family)
    assert (await hear(family, answer(family, *parts)))[:3] == ("a\ufffdbc\ufffd", "", None)


@chat_families
async def test_float_counts_are_counts(family: Family) -> None:
    """Token counts as floats count; what is no number does not."""
    usage = {"prompt_tokens": 30.0, "completion_tokens": 12.0, "cost": "free"}
    parts = [*reply(family, "x"), event(family, {"choices": [], "usage": usage})]
    assert Spent(30, 12) in (await hear(family, answer(family, *parts)))[3]


# --- errors with status 200

SAID = "the adapter is on fire"
ERRORS: dict[str, tuple[bytes, str]] = {
    "JSON": (json.dumps({"error": {"message": SAID}}).encode(), "application/json"),
    "JSON over lines": (json.dumps({"error": SAID}, indent=1).encode(), "application/json"),
    "JSON without a type": (json.dumps({"detail": SAID}).encode(), ""),
    "plain text": (SAID.encode(), "text/plain"),
    "no type": (SAID.encode(), ""),
    "field": (b"error: " + json.dumps({"message": SAID}).encode() + b"\n\n", "text/event-stream"),
    "field of text": (b"error: " + SAID.encode() + b"\n\n", "text/event-stream"),
    "event": (
        b"event: error\ndata: " + json.dumps({"message": SAID}).encode() + b"\n\n",
        "text/event-stream",
    ),
    "event of text": (b"event: error\ndata: " + SAID.encode() + b"\n\n", "text/event-stream"),
    "bare JSON": (json.dumps({"error": SAID}).encode() + b"\n", "text/event-stream"),
    "HTML": (b"<html><body>" + SAID.encode() + b"</body></html>", ""),
    "gzip": (gzip.compress(json.dumps({"error": SAID}).encode()), ""),
}


@every_family
@pytest.mark.parametrize("shape", ERRORS)
async def test_the_servers_reason_is_said(
    family: Family, shape: str, autojump_clock: MockClock
) -> None:
    """An error that came as a success is quoted in one sentence."""
    body, kind = ERRORS[shape]
    answers = [answer(family, body, content_type=kind) for _ in range(3)]
    _, _, error, _, _ = await hear(family, *answers)
    assert error is not None
    assert SAID in str(error)


@every_family
@pytest.mark.parametrize("status", [200, 500])
async def test_a_packed_error_is_unpacked(
    family: Family, status: int, autojump_clock: MockClock
) -> None:
    """Nobody asked for gzip; the reason inside it is told."""
    body = gzip.compress(json.dumps({"error": {"message": SAID}}).encode())
    answers = [answer(family, body, status=status, content_encoding="gzip") for _ in range(3)]
    assert SAID in str((await hear(family, *answers))[2])


@every_family
async def test_out_of_memory_is_not_tried_again(family: Family) -> None:
    """A second try would fail for the same reason."""
    body = json.dumps({"error": "model requires more system memory (9 GiB) than is available"}).encode()
    _, _, error, _, asked = await hear(family, answer(family, body))
    assert error is not None
    assert error.kind == "out_of_memory"
    assert asked == 1


@chat_families
async def test_an_error_of_a_choice(family: Family) -> None:
    """The reason stands in the choice itself."""
    choice = {
        "index": 0,
        "delta": {},
        "error": {"message": SAID, "code": 400},
        "finish_reason": "error",
    }
    assert SAID in str((await hear(family, answer(family, event(family, {"choices": [choice]}))))[2])


# --- several replies, refusals, ends


@chat_families
async def test_only_the_first_choice_is_told(family: Family) -> None:
    """Two replies in one stream do not mix."""
    other = event(
        family, {"choices": [{"index": 1, "delta": {"content": "NO"}, "finish_reason": "stop"}]}
    )
    first, *rest = reply(family, "The gate ", "opens.")
    assert (await hear(family, answer(family, first, other, *rest)))[0] == "The gate opens."


@chat_families
async def test_a_refusal_is_told_as_what_it_is(family: Family) -> None:
    """``refusal`` is no story and no empty reply."""
    refusal = event(family, {"choices": [{"delta": {"refusal": "I cannot tell that."}}]})
    story, _, error, pieces, _ = await hear(family, answer(family, refusal, *reply(family)))
    assert (story, error) == ("", None)
    assert pieces[-1] == Finish("blocked", "the model refused: I cannot tell that.")


@every_family
@pytest.mark.parametrize(
    "end", ["<|im_end|>", "<|eot_id|>", "</s>", "\nYou: I run.", "\n\nMara: I run."]
)
async def test_a_reply_ends_where_its_turn_is_over(family: Family, end: str) -> None:
    """Neither the template's marks nor the player's lines are story; the connection is closed there."""
    parts = reply(family, "The gate opens.", end[:4], end[4:], "\nNO")
    body = answer(family, *parts[:-1], b"")
    story, _, error, pieces, _ = await hear(family, body, names=("You", "Mara"))
    assert (story.rstrip(), error) == ("The gate opens.", None)
    assert isinstance(pieces[-1], Finish)
    assert pieces[-1].cut


# --- patience


@every_family
async def test_an_hour_for_the_first_word_of_ones_own_server(
    family: Family, autojump_clock: MockClock
) -> None:
    """A server of one's own may read for a long time; a service may not, unless the settings say so."""
    first, *rest = reply(family, "The gate opens.")
    own = family.kind in ("ollama", "koboldcpp")
    patient = make_provider(
        family,
        Network(answer(family, 12 * 60.0, first, *rest)),
        **({} if own else {"timeouts": Timeouts(first_s=900, silence_s=900)}),
    )
    assert (await hear(family, provider=patient))[:3] == ("The gate opens.", "", None)
    hurried = make_provider(
        family,
        Network(answer(family, 12 * 60.0, first, *rest)),
        **({"timeouts": Timeouts(first_s=60)} if own else {}),
    )
    error = (await hear(family, provider=hurried))[2]
    assert error is not None
    assert error.kind == "timeout_first_byte"


@chat_families
async def test_an_empty_delta_is_a_sign_of_life(family: Family, autojump_clock: MockClock) -> None:
    """A server that has said who speaks, and then reads the prompt for minutes, is alive."""
    alive = event(family, {"choices": [{"delta": {"role": "assistant", "content": ""}}]})
    body = answer(family, alive, 100.0, alive, 100.0, alive, 100.0, *reply(family, "The gate opens."))
    assert (await hear(family, body))[:3] == ("The gate opens.", "", None)


@every_family
async def test_quiet_requests_are_told_not_to_think(family: Family) -> None:
    """Where that can be said in a field of the API."""
    network = Network(answer(family, *reply(family, "x")))
    provider = make_provider(family, network)
    async with provider.open(completion(quiet=True)) as pieces:
        async for _ in pieces:
            pass
    sent = json.loads(network.bodies[0])
    assert (sent.get("think") is False) == (family.kind == "ollama")

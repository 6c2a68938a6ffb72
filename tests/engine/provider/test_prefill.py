"""A reply that is continued goes on in its own words where the server can, and as before where it cannot."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest
import trio.testing
from trio.testing import MockClock

from flower.engine.lorebook.book import Book, Entry, Position
from flower.engine.prompt.sections import CONTINUE
from flower.engine.provider.base import Completion, Finish, PromptMessage, Text
from flower.engine.provider.endpoint import Endpoint, Patch
from flower.engine.provider.retry import Stream
from flower.engine.provider.services.openai_dialects import FLAVOURS, build_body
from flower.engine.provider.services.remote import GO_ON
from flower.engine.sessions.joint import Joint
from flower.engine.store.library import books
from flower.engine.store.library.books import Owner
from tests.engine_world import engine_world
from tests.fakes import ScriptedProvider
from tests.provider_world import (
    FAMILIES,
    Network,
    completion,
    make_provider,
    refused,
    sse,
    streamed,
    text_of,
)

BEGUN = (PromptMessage("user", "I knock."), PromptMessage("assistant", "The door op "))
REPLY = sse(
    'data: {"choices":[{"index":0,"delta":{"content":"ens."},"text":"ens.","finish_reason":"stop"}]}',
    "data: [DONE]",
)
CHATML = (
    "{{ bos_token }}{% for m in messages %}{{ '<|im_start|>' + m.role + '\n' + m.content + '<|im_end|>\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


def answered(value: object) -> httpx.Response:
    return refused(200, json.dumps(value))


def body_at(kind: str, refusing: tuple[str, ...] = (), **fields: Any) -> dict[str, Any]:
    endpoint = Endpoint("acme", kind, "http://127.0.0.1:9/v1")
    return build_body(completion(messages=BEGUN, **fields), endpoint, FLAVOURS[kind], refusing)


def test_each_server_is_told_in_its_own_way_that_the_last_message_goes_on() -> None:
    begun = {"role": "assistant", "content": "The door op"}  # a blank at the end leads models astray
    assert body_at("llamacpp")["messages"][-1] == begun
    vllm = body_at("vllm")
    assert vllm["messages"][-1] == begun
    assert (vllm["continue_final_message"], vllm["add_generation_prompt"]) == (True, False)
    tabby = body_at("tabbyapi")
    assert tabby["messages"][-1]["role"] == "user"
    assert tabby["response_prefix"] == "The door op"
    assert body_at("mistral")["messages"][-1] == {**begun, "prefix": True}


@pytest.mark.parametrize("kind", ["openai", "openrouter", "groq", "compatible", "lmstudio"])
def test_where_nobody_knows_whether_it_goes_on_it_is_asked_to(kind: str) -> None:
    assert body_at(kind)["messages"][-1] == {"role": "user", "content": GO_ON}


def test_a_server_that_refused_it_is_asked_to() -> None:
    for kind, field in (("llamacpp", "prefill"), ("vllm", "continue_final_message")):
        assert body_at(kind, (field,))["messages"][-1] == {"role": "user", "content": GO_ON}


def test_banned_phrases_go_where_they_are_taken() -> None:
    assert body_at("tabbyapi", banned=("a shiver",))["banned_strings"] == ["a shiver"]
    assert not {"banned_strings", "banned_tokens"} & body_at("openai", banned=("x",)).keys()


async def test_llamacpp_is_told_not_to_write_words_that_are_one_token() -> None:
    family = FAMILIES["llamacpp"]
    tokens = [answered({"tokens": ids}) for ids in ([1, 2], [7], [8], [9, 3])]
    network = Network(*tokens, streamed(family, REPLY))
    async with make_provider(family, network).open(
        completion(banned=("shiver", "a b", "in"))
    ) as pieces:
        assert text_of([piece async for piece in pieces]) == "ens."
    assert json.loads(network.bodies[-1])["logit_bias"] == [[7, False], [8, False]]


async def test_a_server_that_thinks_and_takes_no_beginning_is_asked_to_go_on() -> None:
    family = FAMILIES["llamacpp"]
    no = '{"error":{"code":400,"message":"Assistant response prefill is incompatible with enable_thinking."}}'
    network = Network(refused(400, no), streamed(family, REPLY))
    provider = make_provider(family, network)
    assert provider.prefills("m1", None)  # type: ignore[attr-defined]  # of a RemoteProvider
    async with Stream(provider, completion(messages=BEGUN)) as pieces:
        assert text_of([piece async for piece in pieces]) == "ens."
    assert json.loads(network.bodies[1])["messages"][-1]["content"] == GO_ON
    assert not provider.prefills("m1", None)  # type: ignore[attr-defined]


# --- the server's own template ----------------------------------------------------------------------------


async def test_a_prompt_is_written_as_the_server_s_own_template_says() -> None:
    family = FAMILIES["llamacpp"]
    props = {"chat_template": CHATML, "bos_token": "<s>", "eos_token": "</s>"}
    network = Network(answered(props), streamed(family, REPLY))
    provider = make_provider(family, network, patch=(Patch("^m", template="server"),))
    async with provider.open(completion(messages=BEGUN)) as pieces:
        assert text_of([piece async for piece in pieces]) == "ens."
    sent = json.loads(network.bodies[1])
    assert network.requests[1].url.path.endswith("/v1/completions")
    # The server puts the first token there itself.
    assert sent["prompt"] == "<|im_start|>user\nI knock.<|im_end|>\n<|im_start|>assistant\nThe door op"
    assert "messages" not in sent


@pytest.mark.parametrize("source", ["", "{% for %}", "{{ raise_exception('no') }}"])
async def test_a_template_that_cannot_be_used_costs_a_sentence(source: str) -> None:
    family = FAMILIES["llamacpp"]
    network = Network(answered({"chat_template": source}), streamed(family, REPLY))
    provider = make_provider(family, network)
    streaming = Stream(provider, completion(template="server"))
    async with streaming:
        assert text_of([piece async for piece in streaming]) == "ens."
    assert "messages" in json.loads(network.bodies[1])
    assert any("cannot be used here" in note for note in streaming.notes)


# --- in a story -------------------------------------------------------------------------------------------


class GoesOn(ScriptedProvider):
    """Breaks off in the middle of a word, then goes on from there."""

    goes_on = True

    def prefills(self, model: str, template: object) -> bool:
        return self.goes_on

    def open(self, completion: Completion):  # type: ignore[no-untyped-def]  # as its parent
        first = not self.completions
        said = Text("The door op") if first else Text("ens slowly.")
        self.pieces = [said, Finish("length" if first else "done")]
        return super().open(completion)


async def reply_of(path: Path, provider: GoesOn) -> str:
    async with engine_world(path, provider) as world:
        face = await world.playing()
        await face.say("/note Fog everywhere.")
        await face.say_and_wait("I knock.")
        await face.say_and_wait("/continue")
        await trio.testing.wait_all_tasks_blocked()
        (reply,) = await world.database.read(
            lambda db: db.execute("SELECT content FROM messages ORDER BY id DESC LIMIT 1").fetchone()
        )
        return str(reply)


async def test_the_reply_so_far_is_the_end_of_the_prompt_and_nothing_is_guessed(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    provider = GoesOn()
    assert await reply_of(tmp_path / "db", provider) == "The door opens slowly."
    messages = provider.completions[1].messages
    assert messages[-1] == PromptMessage("assistant", "The door op")
    assert not any(CONTINUE in message.content for message in messages)
    assert messages[:2] == provider.completions[0].messages[:2]  # the cache is good for it


async def test_lore_below_the_newest_message_stands_above_a_reply_that_goes_on(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    """Whatever is told at depth 0: else there is nothing to go on from."""
    book = Book(
        name="B",
        entries=(
            Entry(uid="0", constant=True, content="The tide.", position=Position.AT_DEPTH, depth=0),
        ),
    )
    provider = GoesOn()
    async with engine_world(tmp_path / "db", provider) as world:
        await world.database.write(
            books.give, await world.database.write(books.add, book, 1.0), Owner.ALL
        )
        face = await world.playing()
        await face.say_and_wait("I knock.")
        await face.say_and_wait("/continue")
        await trio.testing.wait_all_tasks_blocked()
    first, second = (one.messages for one in provider.completions)
    assert first[-1].content.endswith("[The tide.]")
    assert second[-1] == PromptMessage("assistant", "The door op")
    assert second[-2].content.endswith("[The tide.]")


async def test_where_it_cannot_it_is_asked_to_go_on(autojump_clock: MockClock, tmp_path: Path) -> None:
    provider = GoesOn()
    provider.goes_on = False
    await reply_of(tmp_path / "db", provider)
    assert CONTINUE in provider.completions[1].messages[-1].content


@pytest.mark.parametrize(
    ("before", "parts", "whole"),
    [
        ("The door op", ["ens."], "The door opens."),
        ("The door", [" opens."], "The door opens."),
        ("The door ", [" opens."], "The door opens."),
        ("The door", ["The do", "or opens."], "The door opens."),  # some say it again first
        ("Run", ["Ru", "dder!"], "RunRudder!"),
        ("“No.”\n\n", ["\n\nShe", " goes."], "“No.”\n\nShe goes."),
    ],
)
def test_what_comes_is_put_on_as_it_is(before: str, parts: list[str], whole: str) -> None:
    joint = Joint(before)
    joint.goes_on_exactly(before)
    assert before + "".join(joint.feed(part) for part in parts) + joint.end() == whole

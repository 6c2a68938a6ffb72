"""Prompts as text, for models and servers that only complete it."""

from __future__ import annotations

import json

import pytest

from flower.engine.provider.base import Finish, PromptMessage
from flower.engine.provider.endpoint import Patch
from flower.engine.provider.text_prompts import SERVER, TEMPLATES, is_base, render
from flower.settings import config
from tests.provider_world import FAMILIES, Network, completion, make_provider, sse, streamed, text_of

STORY = (
    PromptMessage("system", "You narrate."),
    PromptMessage("user", "I knock."),
    PromptMessage("assistant", "Nobody answers."),
    PromptMessage("user", "I wait."),
)
TEXTS = {
    "chatml": "<|im_start|>system\nYou narrate.<|im_end|>\n<|im_start|>user\nI knock.<|im_end|>\n<|im_start|>"
    "assistant\nNobody answers.<|im_end|>\n<|im_start|>user\nI wait.<|im_end|>\n<|im_start|>assistant\n",
    "llama3": "<|start_header_id|>system<|end_header_id|>\n\nYou narrate.<|eot_id|><|start_header_id|>user"
    "<|end_header_id|>\n\nI knock.<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\nNobody answers."
    "<|eot_id|><|start_header_id|>user<|end_header_id|>\n\nI wait.<|eot_id|><|start_header_id|>assistant"
    "<|end_header_id|>\n\n",
    "mistral": "[INST] You narrate.\n\nI knock. [/INST] Nobody answers.</s>[INST] I wait. [/INST]",
    "gemma": "<start_of_turn>user\nYou narrate.\n\nI knock.<end_of_turn>\n<start_of_turn>model\nNobody answers."
    "<end_of_turn>\n<start_of_turn>user\nI wait.<end_of_turn>\n<start_of_turn>model\n",
    "alpaca": "You narrate.\n\n### Instruction:\nI knock.\n\n### Response:\nNobody answers.\n\n### Instruction:\n"
    "I wait.\n\n### Response:\n",
    "vicuna": "You narrate.\n\nUSER: I knock.\nASSISTANT: Nobody answers.</s>\nUSER: I wait.\nASSISTANT:",
    "plain": "You narrate.\n\n* * *\n\n> I knock.\n\nNobody answers.\n\n> I wait.\n\n",
}


def test_the_settings_know_every_template() -> None:
    """What can be chosen is what there is."""
    assert set(config.TEMPLATES) - {SERVER} == set(TEMPLATES) == set(TEXTS)


@pytest.mark.parametrize("name", TEXTS)
def test_a_prompt_as_text(name: str) -> None:
    """It ends where the reply begins."""
    assert render(STORY, TEMPLATES[name]) == TEXTS[name]


@pytest.mark.parametrize("name", TEXTS)
def test_a_reply_that_goes_on_stays_open(name: str) -> None:
    """The assistant's last message is a beginning to go on from."""
    text = render(STORY[:3], TEMPLATES[name])
    assert text.endswith("Nobody answers.")


@pytest.mark.parametrize(
    ("model", "base"),
    [
        ("llama-3.2-1b-base", True),
        ("gemma-3-270m-pt", True),
        ("Qwen3-8B-Base-Q4_K_M", True),
        ("gemma-3-270m-it", False),
        ("mistral-7b-instruct", False),
        ("base-of-dreams-chat-7b", False),
        ("database", False),
        ("gpt-4", False),
    ],
)
def test_base_models_are_known_by_their_names(model: str, base: bool) -> None:
    """Only where the name says so and nothing in it says the contrary."""
    assert is_base(model) == base


@pytest.mark.parametrize("kind", ["llamacpp", "koboldcpp"])
async def test_a_template_makes_a_completion_of_text(kind: str) -> None:
    """The other address, the prompt instead of messages, and the template's ends as stops."""
    family = FAMILIES[kind]
    reply = sse(
        'data: {"choices":[{"index":0,"text":"The gate ","finish_reason":null}]}',
        'data: {"choices":[{"index":0,"text":"opens.","finish_reason":"stop"}]}',
        "data: [DONE]",
    )
    network = Network(streamed(family, reply))
    provider = make_provider(family, network, patch=(Patch("^m", template="chatml"),))
    async with provider.open(completion(messages=STORY, params={"stop": "###"})) as pieces:
        told = [piece async for piece in pieces]
    assert (text_of(told), told[-1]) == ("The gate opens.", Finish("done"))
    sent = json.loads(network.bodies[0])
    assert network.requests[0].url.path.endswith("/completions")
    assert "chat" not in network.requests[0].url.path
    assert sent["prompt"] == TEXTS["chatml"]
    assert sent["stop"] == ["###", "<|im_end|>", "<|im_start|>"]
    assert "messages" not in sent

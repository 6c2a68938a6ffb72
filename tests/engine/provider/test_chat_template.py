"""Chat templates of models are rendered as their authors mean, and a hostile one ends within its budget."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flower.engine.provider.base import PromptMessage
from flower.engine.provider.chat_template import (
    CHARS,
    SOURCE_CHARS,
    ChatTemplateError,
    render_chat,
)
from flower.engine.provider.text_prompts import TEMPLATES, render

MESSAGES = (
    PromptMessage("system", "You narrate."),
    PromptMessage("user", "I knock."),
    PromptMessage("assistant", "Nobody."),
    PromptMessage("user", "Again."),
)
CHATML = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] | trim"
    " + '<|im_end|>\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
GEMMA = (
    "{{ bos_token }}{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}"
    "{% endif %}{% for message in messages %}{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('Roles must alternate') }}{% endif %}{% if message.role == 'assistant' %}"
    "{% set role = 'model' %}{% else %}{% set role = message['role'] %}{% endif %}"
    "{{ '<start_of_turn>' ~ role ~ '\n' ~ message.content | trim ~ '<end_of_turn>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<start_of_turn>model\n' }}{% endif %}"
)
# What newer templates do: namespaces, macros, loops over what was found, tests, slices, defaults.
MODERN = """
{%- set ns = namespace(found=false, n=0) %}
{%- macro line(role, text) -%}
[{{ role | upper }}]{{ text }}
{% endmacro -%}
{%- if messages[0].role == "system" %}{%- set rest = messages[1:] %}{{- line("system", messages[0].content) }}
{%- else %}{%- set rest = messages %}{%- endif %}
{%- for m in rest %}
{%- if m.tool_calls is defined and m.tool_calls %}{{ raise_exception("no tools") }}{%- endif %}
{%- if m.role == "assistant" and "</think>" in m.content %}
{%- set content = m.content.split("</think>")[-1].lstrip("\\n") %}
{%- else %}{%- set content = m.content %}{%- endif %}
{%- set ns.n = ns.n + 1 %}
{{- line(m.role, content) }}
{%- if loop.last and m.role == "user" %}{%- set ns.found = true %}{%- endif %}
{%- endfor %}
{%- for m in rest | reverse | list %}{% if m.role == "user" %}{% break %}{% endif %}{% endfor %}
{%- if ns.found and ns.n == 3 and tools is not defined and (enable_thinking | default(true)) %}[ASSISTANT]{% endif %}
"""


def test_chatml_is_what_the_built_in_template_writes() -> None:
    assert render_chat(CHATML, MESSAGES) == render(MESSAGES, TEMPLATES["chatml"])


def test_a_template_that_knows_no_system_role_gets_it_with_the_first_line() -> None:
    assert render_chat(GEMMA, MESSAGES, {"bos_token": "<bos>"}) == (
        "<bos><start_of_turn>user\nYou narrate.\n\nI knock.<end_of_turn>\n<start_of_turn>model\nNobody.<end_of_turn>\n"
        "<start_of_turn>user\nAgain.<end_of_turn>\n<start_of_turn>model\n"
    )


def test_what_newer_templates_use_is_there() -> None:
    said = (*MESSAGES[:2], PromptMessage("assistant", "<think>hm</think>\n\nNobody."), MESSAGES[3])
    assert render_chat(MODERN, said).replace("\n", "") == (
        "[SYSTEM]You narrate.[USER]I knock.[ASSISTANT]Nobody.[USER]Again.[ASSISTANT]"
    )


def test_a_reply_that_is_to_go_on_stays_open() -> None:
    begun = (*MESSAGES, PromptMessage("assistant", "The door op "))
    assert render_chat(CHATML, begun).endswith("<|im_start|>assistant\nThe door op")


# ruff: noqa: E501 - one program in a line
HOSTILE = {
    "endless loops": "{% for a in range(9999) %}{% for b in range(9999) %}{% set x = a %}{% endfor %}{% endfor %}",
    "a long range": "{% for a in range(10 ** 9) %}{% endfor %}",
    "a long text": "{{ 'a' * 10 ** 9 }}",
    "a long list": "{% set x = [0] * 99999999 %}",
    "texts that double": "{% set ns = namespace(s='aaaa') %}{% for i in range(200) %}{% set ns.s = ns.s ~ ns.s %}{% endfor %}",
    "texts that double by plus": "{% set ns = namespace(s='aaaa') %}{% for i in range(200) %}{% set ns.s = ns.s + ns.s %}"
    "{% endfor %}",
    "texts that grow by replacing": "{% set ns = namespace(s='a' * 9999) %}{% for i in range(99) %}"
    "{% set ns.s = ns.s.replace('a', ns.s) %}{% endfor %}",
    "texts that grow by joining": "{% set ns = namespace(s='a' * 9999) %}{% for i in range(99) %}"
    "{% set ns.s = ns.s.join(ns.s) %}{% endfor %}",
    "blocks kept aside": "{% set ns = namespace(s='') %}{% for i in range(9999) %}{% set x %}" + "y" * 9999 + "{% endset %}"
    "{% endfor %}",
    "numbers that grow": "{% set ns = namespace(n=9) %}{% for i in range(99) %}{% set ns.n = ns.n * ns.n %}{% endfor %}",
    "macros that call each other": "{% macro a(n) %}{{ b(n) }}{{ b(n) }}{% endmacro %}{% macro b(n) %}{{ a(n) }}{{ a(n) }}"
    "{% endmacro %}{{ a(1) }}",
    "widths": "{{ '%999999999d' % 1 }}",
    "format": "{{ '{:999999999}'.format(1) }}",
    "centre": "{{ 'a' | center(999999999) }}",
    "classes": "{{ ''.__class__.__mro__ }}{{ raise_exception('x') }}",
    "globals": "{{ range.__globals__ }}{{ raise_exception('x') }}",
    "a function's code": "{{ namespace.__init__.__globals__['os'] }}{{ raise_exception('x') }}",
    "attr": "{{ ''|attr('__class__') }}",
    "includes": "{% include '/etc/passwd' %}",
    "imports": "{% import 'os' as os %}",
    "a broken one": "{% for %}",
    "depth": "{{ " + "(" * 9000 + "1" + ")" * 9000 + " }}",
    "too long": "a" * (SOURCE_CHARS + 1),
    "lists by filter": "{% for a in range(9999) %}{% set x = range(9999) | list %}{% endfor %}",
    "sorting": "{% for a in range(9999) %}{% set x = range(9999) | map('string') | unique | list %}{% endfor %}",
}  # fmt: skip


@pytest.mark.parametrize("source", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_hostile_template_ends_soon_with_a_reason(source: str) -> None:
    begun = time.process_time()
    with pytest.raises(ChatTemplateError):
        render_chat(source, MESSAGES)
    assert time.process_time() - begun < 20  # without a bound it would be hours


def test_nothing_of_python_can_be_reached() -> None:
    for path in ("messages.__class__", "messages[0].__init__", "range.__self__", "raise_exception.__globals__",
                 "loop.__class__", "namespace().__class__", "''.format", "messages.append", "messages[0].update",
                 "self.__init__", "cycler", "lipsum", "dict", "joiner", "config", "''.translate"):  # fmt: skip
        source = f"{{% for m in messages %}}{{{{ 'yes' if {path} is defined and {path} else 'no' }}}}{{% endfor %}}"
        try:
            assert "yes" not in render_chat(source, MESSAGES[:2]), path
        except ChatTemplateError:
            continue


@settings(max_examples=60)
@given(
    st.lists(
        st.sampled_from(
            ["{% for m in messages %}", "{% endfor %}", "{{ m.content }}", "{{ m['role'] * 3 }}", "{% if m %}", "{% endif %}",
             "{% set x = messages | length %}", "{{ x }}", "{{ messages[-1].content[:2] }}", "text", "{{ bos_token }}",
             "{% macro f() %}", "{% endmacro %}", "{{ f() }}", "{{ x ~ x }}", "{{ messages | tojson }}", "{{"]
        ),
        max_size=9,
    )
)  # fmt: skip
def test_any_template_gives_a_bounded_text_or_a_reason(parts: list[str]) -> None:
    try:
        text = render_chat("".join(parts), MESSAGES)
    except ChatTemplateError:
        return
    assert len(text) <= CHARS

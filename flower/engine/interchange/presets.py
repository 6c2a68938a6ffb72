"""Presets of SillyTavern: sampler settings, and how prompts are written as text for models of one kind. Pure.

Sampler presets come in three shapes: for text completion, for Kobold and for chat completion. What Flower has
under another name is taken over, what would change something and is not known here is named. Values that do
nothing are left out, but for those where a server's own default does something. Sources: SillyTavern
``textgen-settings.js``, ``kai-settings.js``, ``openai.js``, ``instruct-mode.js`` and its shipped presets.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from flower.engine.interchange.fields import flag, mapping, number, text, texts
from flower.engine.interchange.values import Imported, Kind, Preset
from flower.settings import samplers

NAMED = 12  # settings that are not taken over, in one sentence
_LITERAL = 2_000  # characters of one sequence; a longer one is no mark but a text

# Our name and the value that does nothing; None: it always says something.
_SAMPLERS: dict[str, tuple[str, float | None]] = {
    "temp": ("temperature", None), "temperature": ("temperature", None), "temp_openai": ("temperature", None),
    "top_p": ("top_p", None), "top_k": ("top_k", None), "min_p": ("min_p", None), "top_a": ("top_a", 0),
    "typical_p": ("typical_p", 1), "typical": ("typical_p", 1), "nsigma": ("top_n_sigma", 0),
    "rep_pen": ("repetition_penalty", None), "repetition_penalty": ("repetition_penalty", 1),
    "rep_pen_range": ("repeat_last_n", 0), "freq_pen": ("frequency_penalty", 0),
    "frequency_penalty": ("frequency_penalty", 0), "presence_pen": ("presence_penalty", 0),
    "presence_penalty": ("presence_penalty", 0), "seed": ("seed", -1),
    "dry_multiplier": ("dry_multiplier", 0), "dry_base": ("dry_base", None),
    "dry_allowed_length": ("dry_allowed_length", None), "dry_penalty_last_n": ("dry_penalty_last_n", 0),
    "xtc_probability": ("xtc_probability", 0), "xtc_threshold": ("xtc_threshold", None),
    "smoothing_factor": ("smoothing_factor", 0), "mirostat": ("mirostat", 0), "mirostat_mode": ("mirostat", 0),
    "mirostat_tau": ("mirostat_tau", None), "mirostat_eta": ("mirostat_eta", None),
    "genamt": (samplers.REPLY_TOKENS, None), "max_length": (samplers.CONTEXT_TOKENS, None),
    "openai_max_tokens": (samplers.REPLY_TOKENS, None), "openai_max_context": (samplers.CONTEXT_TOKENS, None),
}  # fmt: skip
# Means something only beside another one that is on.
_BESIDE = {
    "dry_base": "dry_multiplier", "dry_allowed_length": "dry_multiplier",
    "dry_penalty_last_n": "dry_multiplier", "xtc_threshold": "xtc_probability",
    "mirostat_tau": "mirostat", "mirostat_eta": "mirostat",
}  # fmt: skip
# What else may be set, with the values that do nothing.
_ELSEWHERE: dict[str, tuple[object, ...]] = {
    "tfs": (1,), "epsilon_cutoff": (0,), "eta_cutoff": (0,), "rep_pen_decay": (0,), "rep_pen_slope": (0, 1),
    "rep_pen_size": (0,), "no_repeat_ngram_size": (0,), "penalty_alpha": (0,), "num_beams": (1,),
    "length_penalty": (1,), "min_length": (0,), "min_keep": (0,), "encoder_rep_pen": (1,), "skew": (0,),
    "guidance_scale": (1,), "negative_prompt": ("",), "grammar_string": ("",), "grammar": ("",),
    "json_schema": (None,), "smoothing_curve": (1,), "ban_eos_token": (False,), "do_sample": (True,),
    "early_stopping": (False,), "temperature_last": (False, True), "ignore_eos_token": (False,),
    "assistant_prefill": ("",), "continue_postfix": ("", " "), "n": (1,), "custom_include_body": ("",),
    "custom_exclude_body": ("",), "reasoning_effort": ("auto", "medium"), "verbosity": ("auto",),
}  # fmt: skip
OWN = "flower"  # what our own files say beside SillyTavern's fields
UNSET = "unset"  # in it: names of theirs that are there only so that a preset is known as one
BANNING = frozenset({"banned_tokens", "logit_bias"})
_DYNAMIC = ("dynatemp", "min_temp", "max_temp", "dynatemp_exponent")
KNOWN = frozenset({*_SAMPLERS, *_DYNAMIC, *BANNING, "reasoning_effort"})  # that say something of ours
_SEQUENCES = ("input_sequence", "output_sequence", "system_sequence")
_INSTRUCT_ONLY = (
    "first_output_sequence", "first_input_sequence", "last_input_sequence", "last_system_sequence",
    "user_alignment_message", "activation_regex",
)  # fmt: skip
_PARTS = ("instruct", "context", "preset")  # of a file with several presets in it
_MACRO = re.compile(r"\{\{[^{}]{0,80}\}\}")


def kind_of(value: object) -> Kind | None:
    """Returns which kind of preset an object is, None if it is none."""
    if not isinstance(value, dict):
        return None
    if isinstance(value.get("input_sequence"), str) and isinstance(value.get("output_sequence"), str):
        return Kind.INSTRUCT_PRESET
    if isinstance(value.get("story_string"), str):
        return Kind.CONTEXT_PRESET
    if "temp" in value and ("rep_pen" in value or "top_p" in value):
        return Kind.SAMPLER_PRESET
    chat = "prompt_order" in value or "openai_max_tokens" in value or "openai_max_context" in value
    if chat and ("temperature" in value or "temp_openai" in value):
        return Kind.SAMPLER_PRESET
    if any(kind_of(value.get(part)) is not None for part in _PARTS):
        return Kind.PRESETS
    return None


def read(value: dict[str, Any], kind: Kind, name: str = "") -> Imported:
    """Returns what is in an object of a kind that ``kind_of`` found."""
    if kind is Kind.PRESETS:
        parts = [mapping(value.get(part)) for part in _PARTS]
        presets = [read(part, inner, name) for part in parts if (inner := kind_of(part)) is not None]
        return Imported(
            kind=kind,
            presets=tuple(preset for one in presets for preset in one.presets),
            notices=tuple(notice for one in presets for notice in one.notices),
        )
    called = text(value.get("name")) or name or "preset"
    called = " ".join(called.split())[: samplers.NAME_CHARS]
    if kind is Kind.INSTRUCT_PRESET:
        values, left = _instruct(value)
    elif kind is Kind.CONTEXT_PRESET:
        values, left = _context(value)
    else:
        values, left = _samplers(value)
    notices = (_not_taken(left),) if left else ()
    return Imported(kind=kind, presets=(Preset(called, kind, values, value),), notices=notices)


def _not_taken(names: list[str]) -> str:
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return f"Not taken over, as Flower has nothing like it: {', '.join(names[:NAMED])}{more}."


# --- sampler settings -----------------------------------------------------------------------------------


def _samplers(value: Mapping[str, Any]) -> tuple[dict[str, object], list[str]]:
    """Returns settings of ours, and the names of what has no place among them."""
    values: dict[str, object] = {}
    left: list[str] = []
    own = mapping(value.get(OWN))
    unset = texts(own.get(UNSET))
    for theirs, (ours, neutral) in _SAMPLERS.items():
        figure = number(value.get(theirs))
        if figure is None or figure == neutral or theirs in unset:
            continue
        good = samplers.checked_value(ours, int(figure) if ours in samplers.WHOLE else figure)
        if good is None:
            left.append(f"{theirs} {figure:g}")
        else:
            values[ours] = good
    for ours, beside in _BESIDE.items():
        if beside not in values:
            values.pop(ours, None)
    if flag(value.get("dynatemp")):
        values.update(_dynamic(value))
    banned, more = _banned(value)
    if banned:
        values[samplers.BANNED] = banned
    effort = value.get("reasoning_effort")
    if effort in samplers.WORDS["reasoning_effort"] and effort not in _ELSEWHERE["reasoning_effort"]:
        values["reasoning_effort"] = effort
    return {**values, **samplers.checked(own)}, [*left, *more, *_unknown(value)]


def _dynamic(value: Mapping[str, Any]) -> dict[str, object]:
    """Theirs goes from one temperature to another, ours is so much around one."""
    least, most = number(value.get("min_temp")) or 0.0, number(value.get("max_temp")) or 0.0
    exponent = number(value.get("dynatemp_exponent"))
    ours = {"temperature": (least + most) / 2, "dynatemp_range": abs(most - least) / 2}
    return samplers.checked({**ours, "dynatemp_exponent": exponent})


def _banned(value: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    """Returns banned phrases, and what is said of tokens that have no text: a list by line, or by bias."""
    phrases: list[str] = []
    left: list[str] = []
    lines = value.get("banned_tokens")
    for line in lines.splitlines() if isinstance(lines, str) else ():
        line = line.strip()
        if line.startswith("["):
            left.append("banned tokens by their numbers")
        elif line:
            phrases.append(line.strip('"').strip())
    biases = value.get("logit_bias")
    for bias in biases if isinstance(biases, list) else ():
        phrase = text(mapping(bias).get("text")).strip()
        if phrase and (number(mapping(bias).get("value")) or 0) <= -100 and not phrase.startswith("["):
            phrases.append(phrase)
        else:
            left.append("logit_bias")
    good = [one for one in dict.fromkeys(phrases) if 0 < len(one) <= samplers.ITEM_CHARS]
    return good[: samplers.LIST_ITEMS], list(dict.fromkeys(left))


def _unknown(value: Mapping[str, Any]) -> list[str]:
    names = [
        name
        for name, neutral in _ELSEWHERE.items()
        if name in value and value[name] not in neutral and not _taken(name, value[name])
    ]
    orders = ("sampler_priority", "samplers", "samplers_priorities", "sampler_order")
    names += ["the order of its samplers"] if any(value.get(order) for order in orders) else []
    if any(text(mapping(p).get("content")).strip() for p in _prompts(value)):
        names.append("its prompts (a rule of your own can say the same: docs/worlds.md)")
    return names


def _taken(name: str, value: object) -> bool:
    return name in samplers.WORDS and value in samplers.WORDS[name]


def _prompts(value: Mapping[str, Any]) -> list[object]:
    prompts = value.get("prompts")
    return prompts if isinstance(prompts, list) else []


# --- prompts as text ------------------------------------------------------------------------------------


def _instruct(value: Mapping[str, Any]) -> tuple[dict[str, object], list[str]]:
    """Returns the fields of a ``provider.base.Template``, and what of the preset has no place in one."""
    left: list[str] = []
    line = "\n" if flag(value.get("wrap")) else ""

    def mark(name: str) -> str:
        sequence = value.get(name)
        literal = sequence[:_LITERAL] if isinstance(sequence, str) else ""
        without = _MACRO.sub("", literal)
        if without != literal:
            left.append(f"the macros in {name}")
        return without

    def around(before: str, after: str) -> tuple[str, str]:
        begin = mark(before)
        return (f"{begin}{line}" if begin else "", mark(after) or line)

    user = around("input_sequence", "input_suffix")
    assistant = around("output_sequence", "output_suffix")
    system: tuple[str, str] | None = around("system_sequence", "system_suffix")
    if flag(value.get("system_same_as_user")):
        system = user
    elif system is not None and not system[0] and not mark("system_suffix"):
        system = ("", "\n\n")  # bare text at the beginning
    reply = mark("last_output_sequence")
    stops = [mark("stop_sequence")]
    if flag(value.get("sequences_as_stop_strings"), True):
        stops += [mark(name).strip() for name in _SEQUENCES]
    left += [name for name in _INSTRUCT_ONLY if text(value.get(name)).strip()]
    fields: dict[str, object] = {
        "user": user,
        "assistant": assistant,
        "system": system,
        "stop": [stop for stop in dict.fromkeys(stops) if len(stop.strip()) > 1],
        "reply": f"{reply}{line}" if reply else "",
    }
    return fields, list(dict.fromkeys(left))


def _context(value: Mapping[str, Any]) -> tuple[dict[str, object], list[str]]:
    """Returns what is around the system text; which parts come in which order is Flower's own."""
    story = text(value.get("story_string"))
    begin, end = story.find("{{"), story.rfind("}}")
    before = story[:begin] if begin >= 0 else story
    after = story[end + 2 :] if end >= 0 else ""
    prefix, suffix = text(value.get("story_string_prefix")), text(value.get("story_string_suffix"))
    start = _MACRO.sub("", text(value.get("chat_start"))).strip()
    fields: dict[str, object] = {
        "before": f"{prefix}{before}"[:_LITERAL],
        "after": f"{after}{suffix}"[:_LITERAL],
        "chat_start": start[:_LITERAL],
    }
    left = ["the order of the parts in its story string"] if begin >= 0 else []
    return fields, left

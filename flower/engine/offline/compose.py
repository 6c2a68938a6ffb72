"""Composes one reply: what the act leads to, what the world adds, what the player may answer.

Pure: everything random comes from the ``Chance`` passed in, so the same turn gives the same reply.
A reply is a list of paragraphs; a paragraph is a list of sentences joined and tidied at the end.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from msgspec import Struct
from msgspec.structs import replace

from flower.engine.offline import acts
from flower.engine.offline.answering import answer_know, answer_recall, answer_unclear
from flower.engine.offline.asides import answer_aside
from flower.engine.offline.context import Context
from flower.engine.offline.dialogue import talk
from flower.engine.offline.effects import (
    add_breath,
    add_clocks,
    add_feeling,
    changes_of,
    close,
    event_slots,
    let_speak,
    pending,
    result_beside,
    turned_to,
)
from flower.engine.offline.fate import answer_dice, answer_oracle, fate_of
from flower.engine.offline.grammar import sentences, tidy
from flower.engine.offline.kinds import kind_of
from flower.engine.offline.narration import (
    Paragraphs,
    remark,
)
from flower.engine.offline.tables import Phrases
from flower.engine.offline.templates import Chance
from flower.engine.provider.base import Cue, PromptMessage

_TRIED = ("move", "take", "use", "look", "rest", "think", "state", "other")  # acts without dice of ours
_THROWING = ("contest", "fight", "risk", "search")


class Composed(Struct, frozen=True):
    """A reply, and the changes of the state sheet that follow from it, one in a line."""

    text: str
    changes: str = ""


def compose(cue: Cue, messages: Sequence[PromptMessage], chance: Chance, phrases: Phrases) -> Composed:
    """Returns the reply as one to four paragraphs separated by blank lines; its text is never empty."""
    context = Context(cue, messages, chance, phrases)
    event = pending(context)
    kind = kind_of(context)
    if kind in ("aside", "unclear"):  # nothing moves, whatever is going on
        return Composed(_finish(context, _HANDLERS[kind](context)))
    if event is not None and turned_to(context, event):
        paragraphs = _taken_up(context, context.pick.fill(event.met, event_slots(context)))
    elif cue.outcome:
        paragraphs = _decided(context, kind)
    else:
        paragraphs = _HANDLERS[kind](context)
    _besides(context, kind, paragraphs)
    add_breath(context, kind, paragraphs)
    add_feeling(context, kind, paragraphs)
    add_clocks(context, paragraphs)
    close(context, paragraphs, event)
    let_speak(context, paragraphs)
    changes = changes_of(context)
    return Composed(_finish(context, paragraphs), "\n".join(changes))


def resumed(cue: Cue, messages: Sequence[PromptMessage], chance: Chance, phrases: Phrases) -> Composed:
    """Returns the rest of a reply that was cut off at ``cue.begun``: it goes on from there."""
    begun = cue.begun.rstrip()
    whole = compose(replace(cue, begun=""), messages, chance, phrases)
    if whole.text.startswith(begun) and len(whole.text) > len(begun):
        exactly = cue.begun if whole.text.startswith(cue.begun) else begun
        return replace(whole, text=whole.text[len(exactly) :])
    if begun.endswith((".", "!", "?", "\u2026", '"', "]", ")")):  # whole as it is: time goes on
        so_far = (*messages, PromptMessage("assistant", begun))
        further = compose(replace(cue, begun="", line="", story=so_far), so_far, chance, phrases)
        return replace(further, text=f"\n\n{further.text}")
    cut = (sentences(begun) or [""])[-1].strip()
    for sentence in sentences(whole.text.replace("\n\n", " ")):
        if cut and sentence.startswith(cut):
            after = whole.text.partition(sentence)[2]
            return replace(whole, text=sentence[len(cut) :] + after)
    return replace(whole, text=f"\u2026\n\n{whole.text}", changes="")


def _decided(context: Context, kind: str) -> Paragraphs:
    """Returns a reply to a line that the player's dice have decided: as they fell."""
    if kind in _TRIED and context.line.act:
        return acts.risk(context)
    paragraphs = _HANDLERS[kind](context)
    if kind not in (*_THROWING, "speech"):
        lead = "dice_worked" if context.cue.outcome == "strong" else "dice_failed"
        paragraphs.insert(0, [context.say(lead)])
    return paragraphs


def _finish(context: Context, paragraphs: Paragraphs) -> str:
    if context.line.foreign:
        paragraphs.insert(0, [context.say("foreign")])
    text = "\n\n".join(part for part in (tidy(" ".join(parts)) for parts in paragraphs) if part)
    return text or tidy(context.say("any_act_bare"))


def _besides(context: Context, kind: str, paragraphs: Paragraphs) -> None:
    """Adds what comes of listening and waiting beside an act, and the answer to a question behind it."""
    doing = kind in (*_TRIED, "trade") and context.line.act and not context.line.speech
    if doing and (result := result_beside(context, kind)):
        paragraphs[-1].insert(0, result)
    last = sentences(context.line.text)[-1] if context.line.act and kind in _TRIED else ""
    if re.match(
        r"(?:is|are|was|were|does|do|can) (?:it|they|that|this|he|she|the|there)\b.*\?$",
        last,
        re.IGNORECASE,
    ):
        paragraphs[-1].append(fate_of(context, last))


def _taken_up(context: Context, met: str) -> Paragraphs:
    acts = context.line.kind not in ("speech", "know", "oracle")
    return [[context.say("move_simple") if acts else "", met], [remark(context, 30)]]


_HANDLERS: dict[str, Callable[[Context], Paragraphs]] = {
    "aside": answer_aside,
    "contest": acts.contest,
    "call": acts.call_out,
    "continue": acts.go_on,
    "dice": answer_dice,
    "hide": acts.hide,
    "joke": acts.joke,
    "knock": acts.knock,
    "let talk": acts.lets_talk,
    "like": acts.like,
    "meal": acts.meal,
    "door": acts.door,
    "exclaim": acts.exclaim,
    "feel": acts.feel,
    "fight": acts.fight,
    "gift": acts.gift,
    "know": answer_know,
    "listen": acts.listen,
    "look": acts.look,
    "magic": acts.magic,
    "move": acts.move,
    "oracle": answer_oracle,
    "other": acts.other,
    "recall": answer_recall,
    "resolve": acts.resolve,
    "rest": acts.rest,
    "risk": acts.risk,
    "search": acts.search,
    "speech": talk,
    "state": acts.state,
    "take": acts.take,
    "touch": acts.touch,
    "think": acts.think,
    "trade": acts.trade,
    "unclear": answer_unclear,
    "use": acts.use,
}

"""The words of the status line: news, else the state, else the keys that help now.

News are read whole: a sentence that does not fit into one row gets more of them while it is shown, and
the story moves up. Hints are not worth that: the longest one that fits is taken.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from flower.tui.render import layout
from flower.tui.render.text import clean, fit, width, wrap
from flower.tui.state import checklist, commands, transcript
from flower.tui.state.effects import Effect
from flower.tui.state.model import Model, Notice

if TYPE_CHECKING:
    from flower.protocol import messages as wire

STATUS_ROWS = 5  # news of several rows: about 380 characters at 80 columns; longer ones get a popup

Result = tuple[Model, tuple[Effect, ...]]  # the next model and what is to be done
MARGIN = 1  # columns at each side of the words
SPINNER_COLUMNS = 2
LINK_WORDS = {
    "connecting": "connecting to the engine",
    "starting": "starting the engine",
    "syncing": "fetching the story",
    "lost": "no connection",
}


def notify(model: Model, text: str, kind: str = "info") -> Model:
    """Returns the model with ``text`` in its status line."""
    return model._replace(notice=Notice(text, kind))


class News(NamedTuple):
    """``kind`` is info, good, bad, or hint: words that give way to the numbers of the last reply."""

    text: str
    kind: str = "info"


def of(model: Model) -> News:
    """Returns what the status line has to say, the spinner aside."""
    notice = model.notice
    if model.link.state == "lost":
        return News(model.link.note or LINK_WORDS["lost"], "bad")
    if model.link.state != "online":
        return News(model.link.note or LINK_WORDS[model.link.state] + model.theme.glyphs.ellipsis)
    if notice.kind == "bad" and notice.text:
        return News(notice.text, "bad")
    if model.chord:
        return News(f"{model.chord} ...")
    if model.turn.state == "waiting" and model.replica.progress is not None:
        return News(progress(model, model.replica.progress))
    if model.turn.state == "waiting":
        queued = f", {model.replica.queued} more waiting" if model.replica.queued else ""
        return News(f"narrating{queued}; Esc stops")
    if model.replica.typing:
        return News(f"{clean(' and '.join(model.replica.typing))} typing{model.theme.glyphs.ellipsis}")
    if notice.text:
        return News(notice.text, notice.kind)
    if model.selected is not None:
        return News(messages(model))
    if not model.scroll.follow and model.story.messages:
        count = model.meter.new_words
        new = "1 new word" if count == 1 else f"{count} new words" if count else "more"
        older = ", fetching older" if model.story.loading else ""
        return News(f"{model.theme.glyphs.down} {new} below: End{older}")
    if model.turn.state == "streaming":
        return News("narrating; Esc stops")
    if model.turn.state == "stopping":
        return News("stopping the reply")
    room = model.columns - 2 * MARGIN - width(numbers(model))
    fitting = [hint for hint in idle(model) if width(hint) <= room]
    return News(fitting[0] if fitting else "", "hint")


def progress(model: Model, state: wire.Progress) -> str:
    """Returns what is waited for, how far it is and how long it takes, in one row of any width."""
    room = model.columns - 2 * MARGIN - SPINNER_COLUMNS
    if not state.total:
        return fit(f"{clean(state.what)}{model.theme.glyphs.ellipsis}; Esc stops", room)
    share = min(1.0, state.done / state.total)
    size = max(4, min(20, model.columns // 5))
    filled = int(size * share)
    tail = f" [{'#' * filled}{'.' * (size - filled)}] {int(share * 100)}%"
    left = _seconds_left(model, state)
    if left is not None:
        tail += f", {left // 60} min left" if left >= 120 else f", {left} s left"
    tail += "; Esc stops" if room >= 60 else ""
    what, left_over = clean(state.what), max(0, room - width(tail))
    if width(what) > left_over:
        what = what.partition(" ")[0]  # "loading" says as much as half of "the model"
    return fit(what, left_over) + tail


def _seconds_left(model: Model, state: wire.Progress) -> int | None:
    """Returns the seconds until ``state`` is through, at the pace so far; None while that says nothing."""
    if model.progress_from is None:
        return None
    since, begun = model.progress_from
    passed, done = model.now - since, state.done - begun
    if passed < 1.0 or done <= 0:
        return None
    return round(passed * (state.total - state.done) / done)


def rows(model: Model) -> list[str]:
    """Returns the words of ``of`` as the rows that are shown, the last one cut when there is too much."""
    columns = model.columns - 2 * MARGIN
    text = clean(of(model).text).replace("\n", " ")
    if width(text) <= columns:
        return [text]
    most = rows_most(model.rows)
    if model.notice.in_story and model.scroll.follow and model.link.state == "online":
        most = 1  # it can be read a few rows above
    lines = wrap(text, columns)
    if len(lines) <= most:
        return lines
    return [*lines[: most - 1], fit(" ".join(lines[most - 1 : most + 1]), columns)]


def height(model: Model) -> int:
    """Returns how many rows the status line takes. Asked several times a frame, so short words are quick."""
    quiet = model.link.state == "online" and not model.notice.text and model.selected is None
    return 1 if quiet else len(rows(model))


def rows_most(screen_rows: int) -> int:
    """Returns how many rows the status line may take of a screen."""
    return min(STATUS_ROWS, screen_rows // 3)


def fits(model: Model, text: str) -> bool:
    """Whether ``text`` can be read whole in the status line."""
    columns = model.columns - 2 * MARGIN
    return len(wrap(clean(text).replace("\n", " "), columns)) <= rows_most(model.rows)


def problems_of(model: Model) -> tuple[str, ...]:
    """Returns what is wrong with the user's files, as engine and screen found it."""
    every = (*model.own_problems, *model.replica.problems)
    return tuple(dict.fromkeys(every))


def unread_mark(model: Model) -> str:
    """Returns ``!3`` while there are three problems that nobody has looked at, else ``""``."""
    count = sum(1 for problem in problems_of(model) if problem not in model.read_problems)
    return f"!{count}" if count else ""


def numbers(model: Model) -> str:
    """Returns tokens, cost, duration and end of the last reply, as far as there is room."""
    if model.selected is not None:
        return ""
    meter = model.meter
    mark = unread_mark(model)
    parts = [mark] if mark else []
    if meter.total_tokens and not model.replica.offline:  # no model has read or written any
        parts.append(f"{meter.total_tokens:,} tokens")
    if meter.cost:
        parts.append(f"${meter.cost:.4f}")
    if meter.seconds and model.columns >= 60:
        parts.append(f"{meter.seconds:.1f} s")
    if meter.ended_at:
        parts.append(meter.ended_at)
    return f"  {f' {model.theme.glyphs.dot} '.join(parts)} " if parts else ""


# --- The few words in the status line that say which keys help now.


def idle(model: Model) -> tuple[str, ...]:
    """Returns the hints for an idle screen, the longest first."""
    lines = model.input.text.count("\n") + 1
    if lines > layout.input_rows_most(model.rows):  # not all of them are in view
        return (f"{lines} lines; {key_of(model, 'submit')} sends them, Esc clears", f"{lines} lines")
    keys = f"{key_of(model, 'help')} keys"
    more = f"{keys}, {key_of(model, 'palette')} commands"
    first = model.story.messages[0] if len(model.story.messages) == 1 else None
    if first is not None and first.variants > 1 and not model.input.text:
        arrows = f"{model.theme.glyphs.left}{model.theme.glyphs.right}"
        others = f"{arrows} other greetings ({first.variant}/{first.variants})"
        return (f"{others}, {more}", f"{others}, {keys}", others)
    if checklist.visible(model):
        return (f"{more}, {key_of(model, 'quit')} leaves", more, keys)
    return (f"{more}, {key_of(model, 'messages')} messages", more, keys)


def messages(model: Model) -> str:
    """Returns the hint while messages are chosen."""
    glyphs = model.theme.glyphs
    parts = [f"{glyphs.up}{glyphs.down} choose", "c copy"]
    index = transcript.index_of(model.story, model.selected or 0)
    if index < len(model.story.messages) and model.story.messages[index].variants > 1:
        parts.append(f"{glyphs.left}{glyphs.right} variant")
    parts += [
        f"{commands.message_key(command)} {command.name.lstrip('/')}"
        for command in message_commands(model)
    ]
    parts += ["n N next", "/ search"] if model.search.term else ["/ search"]
    return ", ".join([*parts, "Esc back"])


def message_commands(model: Model) -> tuple[commands.Command, ...]:
    """Returns the engine's commands that act on one message."""
    offered = commands.offered(model.replica)
    every = [command for command in offered if command.argument in commands.ON_MESSAGES]
    letters = [commands.message_key(command) for command in every]
    # Two commands with one letter: the first has it.
    return tuple(c for place, c in enumerate(every) if letters[place] not in letters[:place])


def key_of(model: Model, action: str) -> str:
    """Returns the first key of ``action`` as people write it, or the action's name when it has none."""
    keys = model.bindings.keys_of(action)
    return "+".join(part.capitalize() for part in keys[0].split("+")) if keys else action

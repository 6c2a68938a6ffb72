"""From a story to the messages of one prompt, within a token budget. Pure.

Layout: what never changes first, what changes last, so that a server's prompt cache keeps almost
everything from turn to turn.

    system   base rules, active rules, the world's tone, character, opening scene
    history  the window of the story, each player's line with what was recalled for it
    line     what is new of the current state, then the player's newest line with what is newly recalled

The state and recalled passages are given once, with the line they were found for, and stay there
as long as that line is in the window: later prompts then only append. The window's start moves rarely and by a
large step (hysteresis), since every move makes a server read the whole prompt again.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from msgspec import Struct

from flower.engine.provider.base import PromptMessage, Role
from flower.engine.store.extra import ManifestEntry
from flower.engine.token_counter import MESSAGE_TOKENS, TokenCounter

SYSTEM_SHARE = 0.6  # of the budget; the story needs the rest
WINDOW_LOW_SHARE = 0.65  # a trim cuts the history down to this share of its room
FILLED_SHARE = 0.75  # of its room; before that no trim is near
WINDOW_HIGH_SHARE = 0.85  # more than this right after a trim, and the next one would come too soon
LINE_SHARE = 0.3  # of the budget, for one message: its room would change with the tail
TAIL_SHARE = 0.15  # of the budget, for the current state and the author's note
INSETS_SHARE = 0.15  # of the budget, for entries of lorebooks among the messages
MIN_SECTION_TOKENS = 60  # below it a section tells nothing
PLAYERS_WORDS = "The player's words:"
OPENING = "Begin the story."  # plain words: small models imitate anything in brackets
CUT_MARK = "\n[…]\n"


class Section(Struct, frozen=True):
    """A named part of the system message. Low ``priority`` is shortened first."""

    name: str
    source: str
    text: str
    priority: float


class Inset(Struct, frozen=True):
    """A text ``depth`` messages above the newest line; it moves along as the story goes on.

    At depth 0 it goes with that line.
    """

    text: str
    depth: int  # -1: below it
    role: Role = "user"


class PromptLine(Struct, frozen=True):
    """A message of the story as the prompt needs it.

    ``recalled`` goes before the player's words, and before it ``state``: the state at that time. The role
    ``system`` is something between the lines, such as dice; it is sent like the player's words.
    """

    id: int
    role: str
    content: str
    recalled: str = ""
    state: str = ""


class Assembled(Struct, frozen=True):
    """A prompt, what is in it and why.

    ``window_start``: id of the first message of the history, which has ``history`` tokens; ``room``: tokens
    there are for it.
    ``tail``: the sections given with the newest line, as they fitted; ``system``: those of the system message.
    """

    messages: tuple[PromptMessage, ...]
    manifest: tuple[ManifestEntry, ...]
    tokens: int
    history: int
    window_start: int | None
    room: int
    tail: tuple[Section, ...] = ()
    system: tuple[Section, ...] = ()


def is_filling(history: int, room: int) -> bool:
    """Whether a history of so many tokens is near its next trim."""
    return history >= room * FILLED_SHARE


FittedSection = tuple[Section, bool]  # and whether it was cut


def state_text(texts: Iterable[str]) -> str:
    """Returns the current state, as it goes before a line."""
    return "\n".join(text.strip() for text in texts)


def assemble(
    sections: Sequence[Section],
    story: Sequence[PromptLine],
    *,
    budget: int,
    counter: TokenCounter,
    window_start: int | None = None,
    summarised: int | None = None,
    tail: Sequence[Section] = (),
    insets: Sequence[Inset] = (),
    entries: Sequence[Inset] = (),
) -> Assembled:
    """Returns the prompt for a reply to the last line of ``story``, at most ``budget`` tokens.

    ``story`` is the active path, oldest first, and ends with the player's line. ``window_start`` is
    what the last prompt of this story used; the history starts there again as long as it fits. When
    it must move, it moves behind message ``summarised`` if what is left then fits, so that summary and
    history meet. ``tail`` is what has to be given with the newest line; later prompts repeat it there, as
    that line's ``state``, so that everything stays as it was. ``inset`` is the author's note,
    ``entries`` are those of lorebooks, both at a depth.
    """
    fixed = _fixed(sections, tail, insets, entries, budget, counter)
    # 2: rounding, opening
    room = max(budget - fixed.tokens - 2 * MESSAGE_TOKENS, MIN_SECTION_TOKENS)
    lines = [
        _fit_line(line, int(budget * LINE_SHARE), counter)
        for line in story
        if line.content or line.recalled
    ]
    lines[-1:] = [_with_state(line, "") for line in lines[-1:]]  # the tail takes its place
    start = _window(lines, room, window_start, summarised, counter)
    window = lines[start:]

    newest = [_with_state(line, fixed.tail_text) for line in window[-1:]]
    messages = _alternating([*window[:-1], *newest], fixed.insets)
    if fixed.system_text:
        messages.insert(0, PromptMessage("system", fixed.system_text))
    history_tokens = sum(_line_tokens(line, counter) for line in window)
    dropped = f"{start} older messages left out" if start else ""
    history = ManifestEntry("history", f"{len(window)} messages", history_tokens, dropped)
    return Assembled(
        messages=tuple(messages),
        manifest=(*_manifest((*fixed.system, *fixed.tail), counter), history),
        tokens=fixed.tokens + history_tokens,
        history=history_tokens,
        window_start=window[0].id if window else None,
        room=room,
        tail=tuple(section for section, _ in fixed.tail),
        system=tuple(section for section, _ in fixed.system),
    )


class _Fixed(Struct, frozen=True):
    """What a prompt has beside the story: sections, whether each was cut, their text, and insets."""

    system: list[FittedSection]
    system_text: str
    tail: list[FittedSection]
    tail_text: str
    insets: list[Inset]
    tokens: int


def _fixed(
    sections: Sequence[Section],
    tail: Sequence[Section],
    insets: Sequence[Inset],
    entries: Sequence[Inset],
    budget: int,
    counter: TokenCounter,
) -> _Fixed:
    # What changes with each line is taken from the system's share, whether there is something of it or not: if
    # the system text had the rest, it would be cut elsewhere with every line, and no server could keep its cache.
    beside = int(budget * TAIL_SHARE)
    system = _fit_sections(sections, int(budget * SYSTEM_SHARE) - beside, counter)
    system_text = "\n\n".join(section.text.strip() for section, _ in system)
    share = beside // 2 // max(len(insets), 1)
    insets = [Inset(shorten(inset.text, share, counter), inset.depth, inset.role) for inset in insets]
    inset_tokens = sum(counter.count(inset.text) + MESSAGE_TOKENS for inset in insets)
    latest = _fit_sections(tail, beside - inset_tokens - counter.count(PLAYERS_WORDS), counter)
    tail_text = state_text(section.text for section, _ in latest)
    tail_tokens = counter.count(tail_text) + counter.count(PLAYERS_WORDS) if tail_text else 0
    fitted = _fit_insets(entries, int(budget * INSETS_SHARE), counter)
    tokens = counter.count(system_text) + MESSAGE_TOKENS + tail_tokens + inset_tokens
    tokens += sum(counter.count(one.text) + MESSAGE_TOKENS for one in fitted)
    return _Fixed(system, system_text, latest, tail_text, [*fitted, *insets], tokens)


def _manifest(sections: Iterable[FittedSection], counter: TokenCounter) -> list[ManifestEntry]:
    return [
        ManifestEntry(
            section.name, section.source, counter.count(section.text), "shortened" if cut else ""
        )
        for section, cut in sections
    ]


def _with_state(line: PromptLine, state: str) -> PromptLine:
    return PromptLine(
        id=line.id, role=line.role, content=line.content, recalled=line.recalled, state=state
    )


def _fit_sections(
    sections: Sequence[Section], budget: int, counter: TokenCounter
) -> list[FittedSection]:
    """Returns the sections with the least important ones shortened or dropped, and whether cut."""
    sections = [section for section in sections if section.text.strip()]
    sizes = {section: counter.count(section.text) for section in sections}
    over = sum(sizes.values()) - budget
    result: dict[Section, tuple[Section, bool] | None] = {s: (s, False) for s in sections}
    for section in sorted(sections, key=lambda s: s.priority):
        if over <= 0:
            break
        target = sizes[section] - over
        if target >= MIN_SECTION_TOKENS:
            text = shorten(section.text, target, counter)
            result[section] = (Section(section.name, section.source, text, section.priority), True)
            break
        # A stub of a section says nothing and costs its heading: better none, and more of the next one.
        result[section] = None
        over -= sizes[section]
    return [fitted for fitted in result.values() if fitted is not None]


def _fit_insets(insets: Sequence[Inset], room: int, counter: TokenCounter) -> list[Inset]:
    """Returns the insets that have room, those nearest to the newest line first; the first too large is cut."""
    fitted: list[Inset] = []
    for inset in sorted(insets, key=lambda one: one.depth):
        left = room - MESSAGE_TOKENS
        if left < MIN_SECTION_TOKENS and counter.count(inset.text) > left:
            break
        text = shorten(inset.text, left, counter)
        fitted.append(Inset(text, inset.depth, inset.role))
        room -= counter.count(text) + MESSAGE_TOKENS
    return fitted


def _fit_line(line: PromptLine, most: int, counter: TokenCounter) -> PromptLine:
    """Returns the line with at most ``most`` tokens; the player's words have the better half."""
    recalled = shorten(line.recalled, most // 2, counter) if line.recalled else ""
    content = shorten(line.content, most - counter.count(recalled), counter)
    if content is line.content and recalled is line.recalled:
        return line
    return PromptLine(id=line.id, role=line.role, content=content, recalled=recalled, state=line.state)


def shorten(text: str, tokens: int, counter: TokenCounter) -> str:
    """Returns ``text`` cut out in the middle with a visible mark, so that it has ``tokens`` at most.

    The middle goes because a message's start says what it is and its end says what is next.
    """
    size = counter.count(text)
    if size <= tokens:
        return text
    keep = max(int(len(text) * tokens / size) - len(CUT_MARK), 2)
    # Tokens are not spread evenly over a text: the first cut is by the average, and shrinks until it fits.
    while True:
        cut = text[: keep - keep // 2] + CUT_MARK + text[len(text) - keep // 2 :]
        if counter.count(cut) <= tokens or keep <= 2:
            return cut
        keep = int(keep * 0.9)


def _line_tokens(line: PromptLine, counter: TokenCounter) -> int:
    state = counter.count(line.state) + counter.count(PLAYERS_WORDS) if line.state else 0
    return state + counter.count(line.recalled) + counter.count(line.content) + MESSAGE_TOKENS


def _window(
    lines: Sequence[PromptLine],
    room: int,
    previous: int | None,
    summarised: int | None,
    counter: TokenCounter,
) -> int:
    """Returns the index of the first line of the window."""
    start = next((i for i, line in enumerate(lines) if line.id == previous), 0)
    sizes = [_line_tokens(line, counter) for line in lines]
    if sum(sizes[start:]) <= room:
        return (
            start  # it still fits: a prompt that begins as the last one finds it in the server's cache
        )
    # It moves. Best to just behind what the summary covers, if that frees enough.
    behind = next((i for i, line in enumerate(lines) if line.id == summarised), -1) + 1
    if start < behind < len(lines) and sum(sizes[behind:]) <= room * WINDOW_HIGH_SHARE:
        return behind
    # Else far below what fits, counted from the newest line up, so that it rests for many lines again.
    target = int(room * WINDOW_LOW_SHARE)
    total = 0
    for index in reversed(range(len(lines))):
        total += sizes[index]
        if total > target:
            start = index + 1
            break
    start = min(start, len(lines) - 1)
    while start < len(lines) - 1 and lines[start].role == "assistant":
        start += 1  # a window that opens with the player's line suits every chat template
    return start


def _alternating(lines: Sequence[PromptLine], insets: Sequence[Inset]) -> list[PromptMessage]:
    """Returns messages that alternate user and assistant and begin with user.

    Several chat templates (Gemma's, Mistral's) refuse anything else, and none minds.
    """
    messages: list[PromptMessage] = []
    if lines and lines[0].role == "assistant":
        messages.append(PromptMessage("user", OPENING))
    newest = len(lines) - 1
    # A depth counts lines from the newest up, and more than there are means above all of them.
    for index, line in enumerate(lines):
        for inset in insets:
            if inset.depth >= 0 and index == max(newest - inset.depth, 0):
                _add(messages, inset.role, inset.text)
        before = [line.recalled] if line.recalled else []
        if line.state:
            spoken = not line.recalled and line.role == "user"
            before = [f"{line.state}\n\n{PLAYERS_WORDS}" if spoken else line.state, *before]
        role: Role = "assistant" if line.role == "assistant" else "user"
        _add(messages, role, "\n\n".join((*before, line.content)))
    for inset in insets:
        if inset.depth < 0:
            _add(messages, "user", inset.text)
    return messages


def _add(messages: list[PromptMessage], role: Role, text: str) -> None:
    if messages and messages[-1].role == role:
        messages[-1] = PromptMessage(role, f"{messages[-1].content}\n\n{text}")
    else:
        messages.append(PromptMessage(role, text))

"""What is fuzzed: one function per reader of foreign bytes, with the law it must keep.

A target takes any bytes and raises only if the code under it breaks its law. ``run.py`` searches for
such bytes, ``tests/rules/test_fuzz_corpus.py`` replays those that were once interesting.
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime

from flower import limits
from flower.engine.assets import kinds
from flower.engine.game import dice, proposals
from flower.engine.game.dice import Seeded
from flower.engine.game.sheet import Sheet
from flower.engine.prompt import macros
from flower.engine.provider.base import Text
from flower.engine.provider.http.framing import SseDecoder
from flower.errors import CommandError, ConfigError, ProtocolError, ProviderError, YamlError
from flower.protocol.codec import decode_event, decode_prompt, encode
from flower.protocol.messages import UnknownEvent
from flower.settings import config, safe_yaml, validators
from flower.text import sanitize
from flower.tui.render import text as screen
from flower.tui.term.keys import Decoder
from tests.provider_world import FAMILIES

Target = Callable[[bytes], None]

_FAMILIES = tuple(FAMILIES.values())
_VALUES = macros.Values(
    datetime(2026, 1, 1, tzinfo=UTC), "story", "line", user="Ada", variables={"a": "{{b}}"}
)


def as_text(data: bytes) -> str:
    """Returns text that can hold everything a Python string can, lone surrogates included."""
    return data.decode("utf-8", "surrogateescape")


def protocol(data: bytes) -> None:
    """A frame is a message that survives the wire, or a ``ProtocolError``."""
    with suppress(ProtocolError):
        prompt = decode_prompt(data)
        assert len(prompt.prompt) <= limits.PROMPT_CHARS
        again = encode(prompt)
        assert decode_prompt(again) == prompt
    with suppress(ProtocolError):
        event = decode_event(data)
        if not isinstance(event, UnknownEvent):
            assert decode_event(encode(event)) == event


def sse(data: bytes) -> None:
    """Events do not depend on how the bytes were cut; the first byte says where."""
    if not data:
        return
    step, data = 1 + data[0] % 32, data[1:]
    whole, pieces = SseDecoder(4096), SseDecoder(4096)
    expected = whole.feed(data)
    if whole.overflowed:
        return  # how much was decoded before the limit depends on the cuts
    expected += whole.end()
    found = []
    for at in range(0, len(data), step):
        found += pieces.feed(data[at : at + step])
    assert found + pieces.end() == expected


def streams(data: bytes) -> None:
    """Whatever a server streams becomes pieces and at most one error; the first byte is the family."""
    if len(data) < 2:
        return
    family, step, data = _FAMILIES[data[0] % len(_FAMILIES)], 1 + data[1], data[2:]
    interpreter = family.interpreter()
    items = []
    for at in range(0, len(data), step):
        items += interpreter.feed(data[at : at + step])
    items += interpreter.end()
    assert sum(isinstance(item, ProviderError) for item in items) <= 1
    for item in items:
        assert not isinstance(item, Text) or (isinstance(item.text, str) and item.text)


def yaml(data: bytes) -> None:
    """A file from a stranger is a value made of JSON's kinds, or one sentence with a line in the file."""
    try:
        document = safe_yaml.load(data)
    except YamlError as error:
        _one_sentence(str(error))
        if error.line < 1:
            raise
        return
    assert () in document.lines or document.value is None
    json.dumps(document.value, ensure_ascii=False, allow_nan=False).encode()
    for read in kinds.READERS.values():
        try:
            read(document.value, ())
        except validators.WrongValueError as wrong:
            validators.line_of(document.lines, wrong.path)
            _one_sentence(str(wrong))


def settings(data: bytes) -> None:
    """Any ``config.yaml`` is settings, or one sentence for each mistake."""
    try:
        document = safe_yaml.load(data)
        config.parse(document.value, document.lines, {})
    except (YamlError, ConfigError) as error:
        for sentence in str(error).split("\n"):
            _one_sentence(sentence)


def terminal(data: bytes) -> None:
    """Nothing a terminal obeys leaves the cleaners, and cut into pieces text is cleaned as whole."""
    text = as_text(data)
    cleaned = sanitize(text)
    assert "".join(map(sanitize, text)) == cleaned
    for char in cleaned:
        assert char in "\n\t" or unicodedata.category(char) not in ("Cc", "Cs")
    shown = screen.clean(text)
    assert screen.clean(shown) == shown
    for char in shown:
        assert char == "\n" or unicodedata.category(char) not in ("Cc", "Cs", "Co", "Zl", "Zp")
    columns = 1 + len(data) % 40
    for row in screen.wrap(shown, columns):
        assert screen.width(row) <= max(columns, 2)  # a wide character alone may be wider than a row


def keys(data: bytes) -> None:
    """Keys do not depend on how a terminal's bytes were cut, and none gets stuck."""
    whole, pieces = Decoder(), Decoder()
    expected = whole.feed(data) + whole.flush()
    found = []
    for at in range(0, len(data), 3):
        found += pieces.feed(data[at : at + 3])
    assert found + pieces.flush() == expected
    assert not pieces.pending


def rolls(data: bytes) -> None:
    """A roll is refused in a sentence, or lands within its bounds and can be rolled again the same."""
    text = sanitize(as_text(data))
    try:
        expression = dice.parse(text)
    except CommandError as error:
        _one_sentence(str(error))
        return
    throw = dice.roll(expression, Seeded("fuzz"))
    assert throw == dice.roll(expression, Seeded("fuzz"))
    assert sum(map(len, throw.dice)) <= 2 * dice.ROLL_DICE
    assert abs(throw.total) <= dice.ROLL_TERMS * dice.ROLL_NUMBER
    assert dice.parse(expression.display_text).terms == expression.terms
    assert throw.display_text.endswith(str(throw.total))


def expansion(data: bytes) -> None:
    """Macros expand to bounded text, always to the same one."""
    text = sanitize(as_text(data))
    expanded = macros.expand(text, _VALUES)
    assert len(expanded) <= len(text) * 16 + macros.MACRO_CHARS
    assert macros.expand(text, _VALUES) == expanded


def sheets(data: bytes) -> None:
    """Whatever a model proposes leaves a sheet within its bounds."""
    reply = "```state\n" + sanitize(as_text(data))
    proposed = proposals.read(reply, Sheet())
    assert len(proposed.changes) + len(proposed.refused) <= proposals.PROPOSALS


def _one_sentence(text: str) -> None:
    """What a user reads on one line of a terminal."""
    assert text
    assert text.isprintable(), ascii(text)
    assert len(text) < 2_000


TARGETS: dict[str, Target] = {
    "protocol": protocol,
    "sse": sse,
    "streams": streams,
    "yaml": yaml,
    "settings": settings,
    "terminal": terminal,
    "keys": keys,
    "rolls": rolls,
    "expansion": expansion,
    "sheets": sheets,
}

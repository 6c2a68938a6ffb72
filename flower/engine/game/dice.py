"""Dice notation: parse an expression, roll it, tell every die. Pure: chance is an argument.

``2d6+3``, ``4d6kh3`` (keep highest; also ``kl``, ``dh``, ``dl``), ``d%``, ``4dF``, ``3d6!`` (a highest
face rolls again), ``1d20adv+5 vs 15``, and words behind it that say what the roll is for.

Not the d20 package, although its notation is the model: it draws from the global ``random`` module, so
that a roll could not be replayed from its seed, it knows neither ``4dF``, ``adv`` nor ``vs``, and
importing it with its parser takes 150 ms and 11 MB, which is a second on a small board.
"""

from __future__ import annotations

import hashlib
import re
from typing import Literal, Protocol

from msgspec import Struct

from flower.errors import CommandError

ROLL_DICE = 100  # of one roll, those that roll again included: a line on screen, not a page
ROLL_SIDES = 10_000
ROLL_TERMS = 16
ROLL_NUMBER = 1_000_000
ROLL_LABEL_CHARS = 120  # what a roll is for

Keep = Literal["all", "kh", "kl", "dh", "dl"]

EXAMPLE = "/roll 2d6+3, /roll 1d20adv+5 vs 15, /roll 4d6kh3, /roll 4dF"

_DIE = re.compile(
    r"(?P<count>\d+)?d(?P<sides>\d+|%|f(?![a-z]))"
    r"(?P<explode>!)?(?P<keep>kh|kl|dh|dl|ph|pl|k|p)?(?P<kept>(?<=[hlkp])\d+)?(?P<late>!)?"
    r"(?:\s*(?P<twice>adv|dis)(?:(?<=s)advantage|(?<=v)antage)?(?![a-z]))?",
    re.IGNORECASE,
)
_NUMBER = re.compile(r"\d+")
_SIGN = re.compile(r"\s*([+-])\s*")
_TARGET = re.compile(r"\s*\b(?:vs\.?|against|dc)\s*(-?\d+)(?!\w)", re.IGNORECASE)
_VERSUS = re.compile(r"\s*\b(?:vs|dc)\b", re.IGNORECASE)
_FATE = {-1: "-", 0: "0", 1: "+"}
_KEEPS: dict[str, Keep] = {
    "kh": "kh",
    "k": "kh",
    "kl": "kl",
    "dh": "dh",
    "ph": "dh",
    "dl": "dl",
    "pl": "dl",
    "p": "dl",
}  # d20 says p where others say d


class RandomSource(Protocol):
    """Where randomness comes from; ``random.Random`` fits."""

    def randrange(self, stop: int, /) -> int:
        """Returns a number from 0 to ``stop - 1``."""


class Dice(Struct, frozen=True):
    """``count`` dice of one kind. ``sides`` 0: a Fate die, with faces -1, 0 and 1."""

    sign: int
    count: int
    sides: int
    keep: Keep = "all"
    keep_count: int = 0  # how many are kept or dropped
    explode: bool = False


class Number(Struct, frozen=True):
    sign: int
    value: int


Term = Dice | Number


class Expression(Struct, frozen=True):
    """What is rolled. ``display_text`` is the notation without its target and label."""

    terms: tuple[Term, ...]
    display_text: str
    target: int | None = None
    label: str = ""


class Die(Struct, frozen=True):
    value: int
    counts: bool = True


class Throw(Struct, frozen=True):
    """An expression that was rolled; ``dice`` has one tuple for every term, empty for numbers."""

    expression: Expression
    dice: tuple[tuple[Die, ...], ...]

    @property
    def total(self) -> int:
        return sum(_value(t, d) for t, d in zip(self.expression.terms, self.dice, strict=True))

    @property
    def margin(self) -> int | None:
        """By how much the target was reached (0 and more) or missed; None without a target."""
        target = self.expression.target
        return None if target is None else self.total - target

    @property
    def natural(self) -> int | None:
        """The face of the twenty-sided die that counts, if exactly one does."""
        faces = [
            die.value
            for term, rolled in zip(self.expression.terms, self.dice, strict=True)
            if isinstance(term, Dice) and term.sides == 20
            for die in rolled
            if die.counts
        ]
        return faces[0] if len(faces) == 1 else None

    @property
    def display_text(self) -> str:
        """Every die and the sum, for example ``[4, 2] + 3 = 9``; dropped dice stand in parentheses."""
        parts: list[str] = []
        for term, rolled in zip(self.expression.terms, self.dice, strict=True):
            sign = "-" if term.sign < 0 else "+" if parts else ""
            text = str(term.value) if isinstance(term, Number) else _faces(term, rolled)
            parts.append(f"{sign} {text}" if parts else f"{sign}{text}")
        return f"{' '.join(parts)} = {self.total}"


def parse(text: str) -> Expression:
    """Returns what ``text`` says to roll; raises ``CommandError`` that points at what is wrong."""
    text = " ".join(text.split())
    if not text:
        raise CommandError(f"Roll what? For example {EXAMPLE}.")
    terms, end = _terms(text)
    notation = text[:end]
    target = _TARGET.match(text, end)
    if target:
        end = target.end()
    rest = text[end:]
    if target is None and _VERSUS.match(rest):
        raise CommandError("Against which number? For example /roll 1d20+5 vs 15.")
    if rest and rest[0].isalnum():
        raise CommandError(f"This roll is not understood from {rest[:20]!r} on. For example {EXAMPLE}.")
    label = rest.strip(" ,;:#")[:ROLL_LABEL_CHARS]
    number = _bounded(target.group(1)) if target else None
    return Expression(tuple(terms), notation, number, label)


def _terms(text: str) -> tuple[list[Term], int]:
    """Returns the terms at the start of ``text`` and where they end."""
    terms: list[Term] = []
    position = 0
    while True:
        sign = _SIGN.match(text, position)
        if sign is None and terms:
            break
        at = sign.end() if sign is not None else position
        direction = -1 if sign is not None and sign.group(1) == "-" else 1
        die, number = _DIE.match(text, at), _NUMBER.match(text, at)
        if die is not None:
            terms.append(_dice(die, direction))
            position = die.end()
        elif number is not None:
            terms.append(Number(direction, _bounded(number.group())))
            position = number.end()
        else:
            here = text[at : at + 20]
            what = f"A number or dice are missing before {here!r}." if here else "The roll ends early."
            raise CommandError(f"{what} For example {EXAMPLE}.")
    if not any(isinstance(term, Dice) for term in terms):
        raise CommandError(f"There are no dice in {text[:40]!r}. For example {EXAMPLE}.")
    if len(terms) > ROLL_TERMS:
        raise CommandError(f"A roll has at most {ROLL_TERMS} parts; roll twice.")
    if sum(term.count for term in terms if isinstance(term, Dice)) > ROLL_DICE:
        raise CommandError(f"A roll has at most {ROLL_DICE} dice.")
    return terms, position


def _dice(match: re.Match[str], sign: int) -> Dice:
    count = int((match["count"] or "1")[:9])
    face = match["sides"].lower()
    sides = 100 if face == "%" else 0 if face == "f" else int(face[:9])
    if sides > ROLL_SIDES or (sides == 0 and face != "f") or not 1 <= count <= ROLL_DICE:
        raise CommandError(
            f"{match.group().strip()} cannot be rolled: 1 to {ROLL_DICE} dice"
            f" of 1 to {ROLL_SIDES} sides."
        )
    name = (match["keep"] or "").lower()
    keep = _KEEPS.get(name, "all")
    explode = bool(match["explode"] or match["late"])
    if explode and sides == 1:
        raise CommandError("A die with one side that rolls again on its highest face never ends.")
    if match["twice"]:
        if count != 1 or name or sides == 0:
            raise CommandError("adv and dis go with a single die, as in 1d20adv.")
        return Dice(
            sign=sign,
            count=2,
            sides=sides,
            keep="kh" if match["twice"].lower() == "adv" else "kl",
            keep_count=1,
            explode=explode,
        )
    keep_count = int((match["kept"] or "1")[:9]) if name else 0
    return Dice(
        sign=sign,
        count=count,
        sides=sides,
        keep=keep,
        keep_count=min(keep_count, count),
        explode=explode,
    )


def _bounded(digits: str) -> int:
    size = digits.lstrip("-0") or "0"  # Python itself refuses to read thousands of digits
    if len(size) > len(str(ROLL_NUMBER)) or int(size) > ROLL_NUMBER:
        raise CommandError(f"Numbers in a roll go up to {ROLL_NUMBER:,}.")
    return -int(size) if digits.startswith("-") else int(size)


def roll(expression: Expression, chance: RandomSource) -> Throw:
    """Returns the expression rolled with ``chance``: the same chance gives the same throw."""
    left = ROLL_DICE - sum(t.count for t in expression.terms if isinstance(t, Dice))
    dice = []
    for term in expression.terms:
        faces = _throw(term, chance, left) if isinstance(term, Dice) else []
        left -= len(faces) - (term.count if isinstance(term, Dice) else 0)
        dice.append(_sorted_out(term, faces) if isinstance(term, Dice) else ())
    return Throw(expression, tuple(dice))


def _throw(term: Dice, chance: RandomSource, again: int) -> list[int]:
    """Returns the faces; highest ones of exploding dice roll again, ``again`` times at most."""
    if term.sides == 0:
        return [chance.randrange(3) - 1 for _ in range(term.count)]
    faces: list[int] = []
    left = term.count
    while left:
        left -= 1
        faces.append(1 + chance.randrange(term.sides))
        if term.explode and faces[-1] == term.sides and again:
            left, again = left + 1, again - 1
    return faces


def _sorted_out(term: Dice, faces: list[int]) -> tuple[Die, ...]:
    """Returns the dice in the order they fell, with those that do not count marked."""
    later = -1 if term.keep in ("kh", "dl") else 1  # of equal dice the earlier one counts
    # By index, not by face: of two equal dice one may be dropped, and both stay where they fell.
    order = sorted(range(len(faces)), key=lambda i: (faces[i], later * i))
    counted = {
        "all": order,
        "kh": order[len(order) - term.keep_count :],
        "kl": order[: term.keep_count],
        "dh": order[: len(order) - term.keep_count],
        "dl": order[term.keep_count :],
    }[term.keep]
    return tuple(Die(face, index in counted) for index, face in enumerate(faces))


def _value(term: Term, rolled: tuple[Die, ...]) -> int:
    value = term.value if isinstance(term, Number) else sum(die.value for die in rolled if die.counts)
    return term.sign * value


def _faces(term: Dice, rolled: tuple[Die, ...]) -> str:
    texts = (_FATE[die.value] if term.sides == 0 else str(die.value) for die in rolled)
    faces = (text if die.counts else f"({text})" for text, die in zip(texts, rolled, strict=True))
    return f"[{', '.join(faces)}]"


# --- Chance that can be played again: numbers that follow from a seed.
#
# A hash in counter mode instead of the ``random`` module: what a seed gives is the same on every machine and in every
# version of Python, so a roll can still be checked years later.

_SPAN = 1 << 64


class Seeded:
    """A ``RandomSource`` whose numbers follow from ``seed`` alone."""

    def __init__(self, seed: str) -> None:
        self._seed = seed.encode("utf-8", "surrogatepass")
        self._drawn = 0

    def randrange(self, stop: int, /) -> int:
        """Returns a number from 0 to ``stop - 1``, all equally likely."""
        whole = _SPAN - _SPAN % stop  # what lies above would make small numbers likelier
        while True:
            self._drawn += 1
            digest = hashlib.blake2b(
                self._seed + self._drawn.to_bytes(8, "big"), digest_size=8
            ).digest()
            number = int.from_bytes(digest, "big")
            if number < whole:
                return number % stop

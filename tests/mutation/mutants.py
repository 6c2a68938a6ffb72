"""Which small changes of the code there are, and which of them no test could or need notice.

Owns what is left out: places where a change changes nothing, and the mutants that ``explained.txt`` names.
"""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Iterable, Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import NamedTuple

from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code
from cosmic_ray.plugins import get_operator, operator_names

REPOSITORY = Path(__file__).parents[2]
EXPLAINED = Path(__file__).with_name("explained.txt")
TUNED = (
    16  # a constant of a module that is larger than this is a tuned bound: one more or less is as good
)


# of a number that is never below 0
_SAME_FOR_COUNTS = {f"core/ReplaceComparisonOperator_Gt_{other}" for other in ("NotEq", "IsNot")}
# Of words of which there are few: the first or the last in the alphabet.
_SAME_FOR_WORDS = (
    ('role == "assistant"', ("Eq_LtE",)),
    ('role != "assistant"', ("NotEq_Gt",)),
    ('role == "user"', ("Eq_GtE",)),
    ('role != "user"', ("NotEq_Lt",)),
    ('kind == "lore"', ("Eq_LtE",)),
    ('kind != "lore"', ("NotEq_Gt",)),
    ('kind == "memory"', ("Eq_GtE",)),
)
_COMPARISON = re.compile(r"[=!<>]=|[<>]|\bis\b|\bin\b")
_IS_ONE = re.compile(r"\bis (?:not )?(?:None|[A-Z]\w*\.[A-Z_]+)\b")  # of which a process has one object


class Mutant(NamedTuple):
    module: str  # relative to the repository
    operator: str
    occurrence: int
    line: int


class Reason(NamedTuple):
    """Why a mutant is left out. ``operators``: patterns with ``*``; ``line``: the text of the code."""

    module: str
    operators: tuple[str, ...]
    line: str

    def fits(self, mutant: Mutant, line: str) -> bool:
        """Returns whether it speaks of this mutant, which is in ``line``."""
        operator = mutant.operator.removeprefix("core/")
        return (
            self.module == mutant.module
            and self.line == line.strip()
            and any(fnmatchcase(operator, one) for one in self.operators)
        )


def possible(module: str) -> Iterator[Mutant]:
    """Yields every mutant of a module outside the places where a change changes nothing."""
    source = (REPOSITORY / module).read_text()
    dull = _dull_places(source)
    tuned = _tuned_lines(source)
    tree, rows = get_ast(source), source.splitlines()
    for name in operator_names():
        operator_class = get_operator(name)
        if operator_class.arguments():
            continue
        operator = operator_class()
        positions = [place for node in ast_nodes(tree) for place in operator.mutation_positions(node)]
        for occurrence, ((line, column), _) in enumerate(positions):
            if any(first <= (line, column) <= last for first, last in dull):
                continue
            if rows[line - 1].startswith("*,", column):  # not a product: what follows has names
                continue
            if name in _SAME_FOR_COUNTS and "rowcount > 0" in rows[line - 1]:
                continue
            if _is_same(name, rows[line - 1]):
                continue
            if name != "core/NumberReplacer" or line not in tuned:
                yield Mutant(module, name, occurrence, line)


def _is_same(operator: str, row: str) -> bool:
    """Returns whether a changed comparison of a row says what it said before."""
    kind = operator.removeprefix("core/ReplaceComparisonOperator_")
    if kind in ("Is_Eq", "IsNot_NotEq"):
        return len(_IS_ONE.findall(row)) == len(re.findall(r"\bis\b", row))
    same = any(word in row and kind in kinds for word, kinds in _SAME_FOR_WORDS)
    return same and len(_COMPARISON.findall(row)) == 1


def mutated(mutant: Mutant) -> str | None:
    """Returns the changed source, None when it is none: it does not compile, or only with a warning."""
    before = (REPOSITORY / mutant.module).read_text()
    try:
        after = mutate_code(before, get_operator(mutant.operator)(), mutant.occurrence)
    except AttributeError:  # cosmic-ray cannot change what is caught by a dotted name
        return None
    if after is None:
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            changed = ast.dump(ast.parse(after)) != ast.dump(ast.parse(before))
            compile(after, mutant.module, "exec")
    except (SyntaxError, SyntaxWarning, ValueError):
        return None
    return after if changed and not _is_only_column(after, mutant.line) else None


def _is_only_column(after: str, line: int) -> bool:
    """Returns whether a change takes the last column of a row in place of the first where it has but one.

    It is taken to have one where nothing else of it is asked for.
    """
    text = after.splitlines()[line - 1]
    if "row[ -1]" not in text:
        return "fetchone()[ -1]" in text
    spans = [
        (node.lineno, node.end_lineno or node.lineno)
        for node in ast.walk(ast.parse(after))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    first, last = max((span for span in spans if span[0] <= line <= span[1]), default=(line, line))
    function = "\n".join(after.splitlines()[first - 1 : last])
    return re.search(r"\brow\[\w|[(*,] ?row\b(?!\[)", function) is None


def explained() -> tuple[Reason, ...]:
    """Returns what ``explained.txt`` says of mutants that may live."""
    reasons = []
    for text in EXPLAINED.read_text().splitlines():
        if text and not text.startswith("#"):
            module, operators, line, _why = text.split(" :: ", 3)
            reasons.append(Reason(f"flower/{module}", tuple(operators.split(",")), line.strip()))
    return tuple(reasons)


def outdated(reasons: Iterable[Reason]) -> list[str]:
    """Returns the reasons for lines that are no longer in the code."""
    return [f"{one.module}: {one.line}" for one in reasons if one.line not in _lines(one.module)]


def is_explained(mutant: Mutant, reasons: Sequence[Reason]) -> bool:
    line = (REPOSITORY / mutant.module).read_text().splitlines()[mutant.line - 1]
    return any(reason.fits(mutant, line) for reason in reasons)


def _lines(module: str) -> set[str]:
    path = REPOSITORY / module
    return {line.strip() for line in path.read_text().splitlines()} if path.exists() else set()


def _dull_places(source: str) -> list[tuple[tuple[int, int], tuple[int, int]]]:
    """Returns where a change changes nothing that a test should see."""
    dull: list[ast.AST] = []
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.arg(annotation=ast.expr() as kind) | ast.AnnAssign(annotation=kind):
                dull.append(kind)
            case ast.FunctionDef(name="__repr__"):
                dull.append(node)
            case ast.FunctionDef(returns=ast.expr() as kind):
                dull.append(kind)
            case ast.AsyncFunctionDef(returns=ast.expr() as kind):
                dull.append(kind)
            case ast.Call(func=function) if ast.unparse(function).startswith("log."):
                dull.append(node)
            case ast.Call(func=ast.Name("zip"), keywords=words):  # strict: only a fault would show it
                dull += [word.value for word in words]
            case ast.ClassDef(bases=bases) if any("Protocol" in ast.unparse(base) for base in bases):
                dull.append(node)  # it says what others do, and runs nothing
            case ast.ClassDef(keywords=words):  # frozen: what would change a value is a type error
                dull += [word.value for word in words if word.arg == "frozen"]
            case ast.BinOp(op=ast.BitOr()) if _is_type(node):
                dull.append(node)
            case ast.If(test=ast.Name("TYPE_CHECKING")):
                dull.append(node)
    return [
        ((node.lineno, node.col_offset), (node.end_lineno, node.end_col_offset))  # type: ignore[attr-defined]
        for node in dull
    ]


def _is_type(node: ast.expr) -> bool:
    """Returns whether an expression is a union of types: names that begin with a capital letter, or None."""
    if isinstance(node, ast.BinOp):
        return _is_type(node.left) and _is_type(node.right)
    return ast.unparse(node).rpartition(".")[2][:1].isupper()


def _tuned_lines(source: str) -> set[int]:
    """Returns the lines of constants like ``KEPT = 256``, of which nobody could say why not 255."""
    return {
        line
        for node in ast.parse(source).body
        if isinstance(node, ast.Assign)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, int | float)
        and node.value.value > TUNED
        for line in range(node.lineno, node.value.lineno + 1)
    }

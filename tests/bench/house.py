"""How easily the code is walked through: ``python -m tests.bench.house [--places] [REVISION ...]``.

Prints a table with a column for each revision of git and one for the files as they are. ``--places`` lists instead
what its rows count: words that a newcomer has to translate, large modules, long functions, modules with one importer.
Counted are modules of the package; an importer is another module of it that imports one, inside a function or for
types too.
"""

from __future__ import annotations

import ast
import io
import re
import subprocess
import sys
import tarfile
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path

from tests.sources import modules, parsed, text_of

ROOT = Path(__file__).parents[2]
SMALL = 70  # lines
LARGE = 400
LONG = 40

# Words of our own where the field has one, and participles as names of values.
DIALECT = re.compile(
    r"\b(faces?|mailbox|unheard|aftermath|patience|goodbye|standing|stands|told|telling)\b",
    re.IGNORECASE,
)
PARTICIPLES = frozenset(
    {"told", "found", "wanted", "known", "kept", "shown", "said", "asked", "given", "heard", "taken"}
)
FACES_OF_DICE = "engine/game/dice.py"  # the one place where a face is the field's own word

Sources = dict[str, str]  # name of a module, its text


def present() -> Sources:
    return {path.relative_to(ROOT).as_posix(): text_of(path) for path in modules()}


def at(revision: str) -> Sources:
    archive = subprocess.run(
        ["git", "-C", str(ROOT), "archive", revision, "flower"], check=True, capture_output=True
    ).stdout
    sources = {}
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        for member in tar:
            file = tar.extractfile(member) if member.name.endswith(".py") else None
            if file is not None:
                sources[member.name] = file.read().decode()
    return sources


def dotted(path: str) -> str:
    return path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def importers(sources: Sources) -> dict[str, set[str]]:
    """Returns who imports each module."""
    names = {dotted(path) for path in sources}
    by: dict[str, set[str]] = defaultdict(set)
    for path, text in sources.items():
        for node in ast.walk(parsed(text)):
            found: list[str] = []
            if isinstance(node, ast.Import):
                found = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                found = [str(node.module), *(f"{node.module}.{alias.name}" for alias in node.names)]
            for name in {one for one in found if one in names} - {dotted(path)}:
                by[name].add(dotted(path))
    return by


def in_circles(by: dict[str, set[str]]) -> int:
    """Returns how many modules can reach themselves through imports. Packages themselves do not count."""
    arrows = {name: set(by[name]) for name in by}
    count = 0
    for start in arrows:
        seen: set[str] = set()
        waiting = list(arrows[start])
        while waiting:
            one = waiting.pop()
            if one not in seen:
                seen.add(one)
                waiting += arrows.get(one, ())
        count += start in seen
    return count


def class_names_twice(sources: Sources) -> int:
    names = Counter(
        node.name
        for text in sources.values()
        for node in ast.walk(parsed(text))
        if isinstance(node, ast.ClassDef)
    )
    return sum(count > 1 for count in names.values())


def participles(sources: Sources) -> int:
    """Returns how many times a value, an argument, a field or a function gets a participle for a name."""
    return sum(name in PARTICIPLES for text in sources.values() for name in names_given(parsed(text)))


def names_given(tree: ast.AST) -> Iterator[str]:
    """Yields each name that a module gives to something, as often as it does."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Name | ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.id if isinstance(node, ast.Name) else node.attr
        elif isinstance(node, ast.arg):
            yield node.arg
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name


def long_functions(sources: Sources) -> int:
    """Returns how many functions have more lines than ``LONG``, without their docstrings."""
    return sum(len(list(long_functions_of(text))) for text in sources.values())


def long_functions_of(text: str) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(parsed(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and body_lines(node) > LONG:
            yield node


def body_lines(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    first = node.body[1] if ast.get_docstring(node) and len(node.body) > 1 else node.body[0]
    return (node.end_lineno or first.lineno) - first.lineno + 1


def dialect(path: str, text: str) -> list[str]:
    """Returns the words of our own in a module, in lower case."""
    words = [word.lower() for word in DIALECT.findall(text)]
    return [word for word in words if not (path.endswith(FACES_OF_DICE) and word.startswith("face"))]


def figures(sources: Sources) -> dict[str, int]:
    modules = {path: text for path, text in sources.items() if not path.endswith("/__init__.py")}
    lengths = {path: text.count("\n") for path, text in modules.items()}
    by = importers(sources)
    folders = Counter(path.rpartition("/")[0] for path in modules)
    return {
        "modules": len(modules),
        "lines": sum(lengths.values()),
        "loose files in flower/": folders["flower"],
        "loose files in flower/engine/": folders["flower/engine"],
        "loose files in flower/tui/": folders["flower/tui"],
        "most files in one folder": max(folders.values()),
        "modules with one importer": sum(len(by.get(dotted(path), ())) == 1 for path in modules),
        f"modules under {SMALL} lines": sum(length < SMALL for length in lengths.values()),
        f"with one importer and under {SMALL} lines": sum(
            lengths[path] < SMALL and len(by.get(dotted(path), ())) == 1 for path in modules
        ),
        f"modules over {LARGE} lines": sum(length > LARGE for length in lengths.values()),
        f"functions over {LONG} lines": long_functions(sources),
        "modules in circles, types included": in_circles(by),
        "class names given twice": class_names_twice(sources),
        "words of our own": sum(len(dialect(path, text)) for path, text in sources.items()),
        "participles as names": participles(sources),
    }


def words_of(path: str, text: str) -> Counter[str]:
    """Returns the words of our own in a module, and the participles that it gives to something as a name."""
    names = Counter(name for name in names_given(parsed(text)) if name in PARTICIPLES)
    return Counter(dialect(path, text)) + names


def list_places(sources: Sources) -> None:
    """Prints what a row of the table counts, a line for each module that has something of it."""
    by = importers(sources)
    for path, text in sources.items():
        if words := words_of(path, text):
            listed = ", ".join(f"{word} {n}" for word, n in words.most_common())
            print(f"{path}: words {words.total()}: {listed}")
        if text.count("\n") > LARGE:
            print(f"{path}: {text.count(chr(10))} lines")
        if len(owners := by.get(dotted(path), set())) == 1 and not path.endswith("/__init__.py"):
            print(f"{path}: {text.count(chr(10))} lines, imported by {owners.copy().pop()} alone")
        for node in long_functions_of(text):
            print(f"{path}:{node.lineno}: {node.name} has {body_lines(node)} lines")


def crossed() -> int:
    """Returns how many modules of the engine one prompt crosses, as ``tests/rules/test_prompt_path.py`` counts."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-s", "tests/rules/test_prompt_path.py"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    found = re.search(r"(\d+) modules:", done.stdout)
    assert found is not None, done.stdout
    return int(found[1])


def main() -> None:
    revisions = [word for word in sys.argv[1:] if word != "--places"]
    if "--places" in sys.argv:
        list_places(present())
        return
    columns = [figures(at(revision)) for revision in revisions] + [figures(present())]
    print(f"{'':42}", *(f"{name:>10}" for name in [*revisions, "now"]))
    for row in columns[-1]:
        print(f"{row:42}", *(f"{column[row]:>10,}" for column in columns))
    print(
        f"{'modules that one prompt crosses':42}", *(f"{'':>10}" for _ in revisions), f"{crossed():>10}"
    )


if __name__ == "__main__":
    main()

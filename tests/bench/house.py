"""How easily the code is walked through: ``python -m tests.bench.house [REVISION ...]``.

Prints a table with a column for each revision of git and one for the files as they are. Counted are modules of
the package; an importer is another module of it that imports one, inside a function or for types too.
"""

from __future__ import annotations

import ast
import io
import re
import subprocess
import sys
import tarfile
from collections import Counter, defaultdict
from pathlib import Path

ROOT = Path(__file__).parents[2]
SMALL = 70  # lines
LARGE = 400

Sources = dict[str, str]  # name of a module, its text


def present() -> Sources:
    paths = sorted((ROOT / "flower").rglob("*.py"))
    return {path.relative_to(ROOT).as_posix(): path.read_text() for path in paths}


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
        for node in ast.walk(ast.parse(text)):
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
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.ClassDef)
    )
    return sum(count > 1 for count in names.values())


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
        "modules in circles, types included": in_circles(by),
        "class names given twice": class_names_twice(sources),
    }


def crossed() -> int:
    """Returns how many modules of the engine one prompt crosses, as ``tests/test_prompt_path.py`` counts."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-s", "tests/test_prompt_path.py"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    found = re.search(r"(\d+) modules:", done.stdout)
    assert found is not None, done.stdout
    return int(found[1])


def main() -> None:
    revisions = sys.argv[1:]
    columns = [figures(at(revision)) for revision in revisions] + [figures(present())]
    print(f"{'':42}", *(f"{name:>10}" for name in [*revisions, "now"]))
    for row in columns[-1]:
        print(f"{row:42}", *(f"{column[row]:>10,}" for column in columns))
    print(
        f"{'modules that one prompt crosses':42}", *(f"{'':>10}" for _ in revisions), f"{crossed():>10}"
    )


if __name__ == "__main__":
    main()

"""Searches with atheris for bytes that break a target's law; see README.md beside this file.

Reads ``corpus/TARGET.json`` and adds the inputs that reach something new, while there is room.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
CORPUS = Path(__file__).with_name("corpus")
INPUT_BYTES = 2_048  # longer inputs find nothing else and make the corpus large
CORPUS_BYTES = 24 * 1024  # of each target's corpus in the repository

# A program of its own, because libFuzzer starts itself again to make a corpus small.
PROGRAM = """#!{python}
import sys
sys.path[1:1] = {path!r}
import atheris
with atheris.instrument_imports(include=["flower"]):
    from tests.fuzz.targets import TARGETS
atheris.Setup(sys.argv, TARGETS[{name!r}])
atheris.Fuzz()
"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("target")
    parser.add_argument("--minutes", type=float, default=5)
    options = parser.parse_args()
    return _search(options.target, options.minutes)


def _search(name: str, minutes: float) -> int:
    """Returns the exit code of the search: 0 if no input broke the law."""
    kept = CORPUS / f"{name}.json"
    with tempfile.TemporaryDirectory() as folder:
        found, small, seeds = (Path(folder) / part for part in ("found", "small", "seeds"))
        for path in (found, small, seeds):
            path.mkdir()
        for number, data in enumerate(load(kept)):
            (seeds / str(number)).write_bytes(data)
        program = Path(folder) / "program"
        program.write_text(
            PROGRAM.format(python=sys.executable, path=[str(REPOSITORY), *sys.path[1:]], name=name)
        )
        program.chmod(0o700)
        code = _run(
            program,
            f"-max_total_time={int(minutes * 60)}",
            f"-max_len={INPUT_BYTES}",
            "-timeout=2",
            "-rss_limit_mb=600",
            f"-artifact_prefix={Path.cwd()}/{name}-",
            str(found),
            str(seeds),
        )
        _run(program, "-merge=1", str(small), str(seeds), str(found))
        inputs = load(kept)
        for data in sorted((path.read_bytes() for path in small.iterdir()), key=len):
            if data not in inputs and len(dump([*inputs, data])) <= CORPUS_BYTES:
                inputs.append(data)
        kept.write_text(dump(inputs))
    print(f"{name}: {len(inputs)} inputs kept, {kept.stat().st_size} bytes")
    return code


def _run(program: Path, *arguments: str) -> int:
    return subprocess.run([program, *arguments], check=False).returncode


def load(path: Path) -> list[bytes]:
    """Returns the inputs of a corpus file: a JSON list of texts, a character for each byte."""
    if not path.exists():
        return []
    return [text.encode("latin-1") for text in json.loads(path.read_text())]


def dump(inputs: list[bytes]) -> str:
    """Returns a corpus file: JSON in ASCII, one input a line, so that changes to it can be read."""
    lines = ",\n".join(json.dumps(data.decode("latin-1")) for data in inputs)
    return f"[\n{lines}\n]\n"


if __name__ == "__main__":
    sys.exit(main())

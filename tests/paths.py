"""Where things of the repository are, for tests in any folder."""

from pathlib import Path

TESTS = Path(__file__).resolve().parent
ROOT = TESTS.parent
DOCS = ROOT / "docs"
VECTORS = TESTS / "library" / "vectors"
GOLDEN = TESTS / "golden"

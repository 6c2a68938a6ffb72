"""Which build a process is: the commit of its checkout, read without git."""

from __future__ import annotations

from pathlib import Path

import pytest

from flower.installation import build_of

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.mark.parametrize("layout", ["loose", "packed", "detached", "worktree"])
def test_the_commit_is_found_however_git_keeps_it(tmp_path: Path, layout: str) -> None:
    git = tmp_path / ".git"
    if layout == "worktree":
        common = tmp_path / "elsewhere"
        own = common / "worktrees" / "mine"
        own.mkdir(parents=True)
        git.write_text(f"gitdir: {own}\n")
        (own / "commondir").write_text("../..\n")
        (own / "HEAD").write_text("ref: refs/heads/mine\n")
        (common / "refs" / "heads").mkdir(parents=True)
        (common / "refs" / "heads" / "mine").write_text(f"{COMMIT}\n")
    else:
        (git / "refs" / "heads").mkdir(parents=True)
        (git / "HEAD").write_text(f"{COMMIT}\n" if layout == "detached" else "ref: refs/heads/main\n")
    if layout == "loose":
        (git / "refs" / "heads" / "main").write_text(f"{COMMIT}\n")
    if layout == "packed":
        (git / "packed-refs").write_text(
            f"# pack-refs\n{'f' * 40} refs/heads/mainly\n{COMMIT} refs/heads/main\n"
        )
    assert build_of(str(tmp_path), "1.2.3") == "1.2.3+012345678"


@pytest.mark.parametrize("head", ["", "ref: refs/heads/none\n", "nonsense", "\x00\xff" * 30])
def test_without_a_commit_the_version_stands_alone(tmp_path: Path, head: str) -> None:
    assert build_of(str(tmp_path), "1.2.3") == "1.2.3"
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "HEAD").write_text(head)
    assert build_of(str(tmp_path), "1.2.3") == "1.2.3"

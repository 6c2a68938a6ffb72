"""Who a face is: stable per home and terminal, and what it remembers."""

from __future__ import annotations

import stat
from pathlib import Path

from flower import limits
from flower.client import identity
from flower.client.identity import DRAFT_BYTES


def test_the_first_face_is_the_same_client_after_a_restart(tmp_path: Path) -> None:
    with identity.claim(tmp_path) as one:
        first = one.client
    with identity.claim(tmp_path) as again:
        assert again.client == first
        assert again.slot == 1


def test_faces_open_at_the_same_time_are_different_clients(tmp_path: Path) -> None:
    with identity.claim(tmp_path) as one, identity.claim(tmp_path) as two:
        assert one.client != two.client
        assert (one.slot, two.slot) == (1, 2)


def test_homes_have_different_ids(tmp_path: Path) -> None:
    with identity.claim(tmp_path / "a") as one, identity.claim(tmp_path / "b") as two:
        assert one.client != two.client


def test_a_script_speaks_for_the_first_face_without_taking_its_place(tmp_path: Path) -> None:
    with identity.claim(tmp_path) as one:
        assert identity.shared(tmp_path).client == one.client
    with identity.shared(tmp_path), identity.claim(tmp_path) as first:
        assert first.slot == 1


def test_ids_fit_the_wire(tmp_path: Path) -> None:
    with identity.claim(tmp_path) as one:
        assert len(one.client) <= limits.CLIENT_ID_CHARS


def test_a_damaged_id_file_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "tui-id").write_text("../../etc\n" * 50)
    with identity.claim(tmp_path) as one:
        assert "/" not in one.client


def test_a_draft_comes_back_and_an_empty_one_leaves_no_file(tmp_path: Path) -> None:
    with identity.claim(tmp_path) as one:
        one.save_draft("half a\nthought é")
    with identity.claim(tmp_path) as again:
        assert again.load_draft() == "half a\nthought é"
        again.save_draft("")
    assert not (tmp_path / "run" / "draft-1").exists()


def test_a_draft_is_bounded_and_private(tmp_path: Path) -> None:
    with identity.claim(tmp_path) as one:
        one.save_draft("漢" * DRAFT_BYTES)
        path = tmp_path / "run" / "draft-1"
        assert path.stat().st_size <= DRAFT_BYTES
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert set(one.load_draft()) == {"漢"}


def test_a_home_that_cannot_be_written_to_costs_the_memory_only(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("a file where the folder should be")
    with identity.claim(tmp_path) as one:
        one.save_draft("lost, but no error")
        assert one.load_draft() == ""
        assert one.client
        assert identity.shared(tmp_path).client

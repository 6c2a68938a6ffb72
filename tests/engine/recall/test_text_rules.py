"""Small rules of texts, one by one: where lore is cut, how words are spelt, which files and front matter count."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
import trio

from flower import limits
from flower.engine.recall import chunking, folders, lore_files, tokenizers
from flower.engine.recall.chunking import CHUNK_OVERLAP_TOKENS, chunk, word_pieces
from flower.engine.recall.lore_files import (
    Stamp,
    entry_of,
    is_remote,
    list_files,
    printable_name,
    read_text,
)
from flower.engine.recall.tokenizers import PieceTable, Unigram, WordPiece
from flower.errors import CommandError, StoreError

# --- where lore is cut --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "titles"),
    [
        ("# A\nx\n###### B\ny\n####### C\nz", ["A", "A > B"]),
        ("   # A ##\nx", ["A"]),
        ("    # A\nx", [""]),
        ("#A\nx", [""]),
        ("A\n=\nx", ["A"]),
        ("A\n---\nx\n\nB\n---\ny", ["A", "B"]),
        ("A\n--\nx", [""]),
        ("x\nA\n---\ny", [""]),  # within a paragraph
        ("\nA\n---\ny", ["A"]),
        ("A\n===\n\nB\n---\nx\n\nC\n===\ny", ["A > B", "C"]),
        ("~~~\n# A\n~~~\n# B\nx", ["", "B"]),
        ("## A\nx\n# B\ny\n## C\nz", ["A", "B", "B > C"]),
    ],
)
def test_headings_are_those_of_markdown(text: str, titles: Sequence[str]) -> None:
    assert [draft.title for draft in chunk(text)] == titles


def test_a_long_line_is_no_heading() -> None:
    for length, title in ((limits.NAME_CHARS, "h" * limits.NAME_CHARS), (limits.NAME_CHARS + 1, "")):
        assert [draft.title for draft in chunk(f"{'h' * length}\n---\nx")] == [title]


def test_a_title_of_a_first_line_is_cut_at_a_word() -> None:
    most = limits.NAME_CHARS
    assert chunking._first_line("a" * most + "\nb") == "a" * most
    assert chunking._first_line("a" * (most + 1)) == "a" * most
    assert chunking._first_line("b " + "a" * most) == "b"


def test_paragraphs_are_what_empty_lines_part() -> None:
    assert chunking._paragraphs(["a ", "b", " \t", "", "  c", ""]) == ["a\nb", "c"]
    assert chunking._paragraphs(["", " "]) == []
    assert [draft.text for draft in chunk("a\n  b\n\nc", budget=9)] == ["a\n  b\n\nc"]


def test_what_fits_the_budget_is_one_passage() -> None:
    texts = {
        budget: [draft.text for draft in chunk("a b c.\n\nd e.", budget=budget)] for budget in (7, 6)
    }
    assert texts == {7: ["a b c.\n\nd e."], 6: ["a b c.", "d e."]}
    assert [draft.text for draft in chunk("A b c. D e f.", budget=7)] == ["A b c.", "D e f."]
    assert [draft.text for draft in chunk("A b c. D e f.", budget=8)] == ["A b c. D e f."]
    assert [draft.text for draft in chunk("A b c. D e f. G h.", budget=9)] == ["A b c. D e f.", "G h."]


def test_windows_overlap_by_half_a_small_budget_and_by_no_more_than_some_words_of_a_large_one() -> None:
    words = [f"w{number:03}" for number in range(400)]
    for budget, step in ((10, 5), (200, 200 - min(CHUNK_OVERLAP_TOKENS, 100))):
        windows = chunking._windows(" ".join(words), budget)
        assert [one.split()[0] for one in windows] == [
            words[step * place] for place in range(len(windows))
        ]
        assert all(word_pieces(one) == budget for one in windows[:-1])
        assert windows[-1].split()[-1] == words[-1]


def test_a_word_that_is_too_long_is_cut_after_every_few_letters() -> None:
    assert chunking._windows("abcdefgh", 1) == ["abcdef", "gh"]
    assert chunking._windows("x abcdefghijklmn", 2) == ["x abcdef", "abcdefghijkl", "ghijklmn"]


# --- how words are spelt ------------------------------------------------------------------------

WORDS = {
    "[UNK]": 0,
    "[CLS]": 1,
    "[SEP]": 2,
    "a": 3,
    "ab": 4,
    "##c": 5,
    ".": 6,
    "[MASK]": 7,
    "d": 8,
    "##ab": 9,
}


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        ("", []),
        ("abc", [4, 5]),
        ("abab", [4, 9]),
        ("aab", [3, 9]),
        ("abx d", [0, 8]),
        ("a.d", [3, 6, 8]),
        (".", [6]),
        ("a..", [3, 6, 6]),
        ("A\u0301B", [4]),
        ("a[MASK]d [MASK", [3, 7, 8, 0, 0]),
        ("[[MASK]", [0, 7]),
        ("[MASK]d", [7, 8]),
        ("a\u4e00d", [3, 0, 8]),
        ("a\u200bb\x00c", [4, 5]),
        ("a" * 101, [0]),
        ("a\u00a0d\tab\r\na", [3, 8, 4, 3]),
    ],
)
def test_a_word_is_its_longest_pieces_or_unknown(text: str, ids: Sequence[int]) -> None:
    assert WordPiece(WORDS, 20).encode(text) == [1, *ids, 2]


def test_ideographs_are_tokens_of_their_own_from_the_first_of_a_block_to_its_last() -> None:
    blocks = (
        (0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xF900, 0xFAFF), (0x20000, 0x2A6DF), (0x2A700, 0x2B81F),
        (0x2B920, 0x2CEAF), (0x2F800, 0x2FA1F),
    )  # fmt: skip
    cleaned = tokenizers._Cleaned()
    for first, last in blocks:
        assert [cleaned[code] for code in (first, last)] == [f" {chr(first)} ", f" {chr(last)} "]
        assert not any(cleaned[code].startswith(" ") for code in (first - 1, last + 1))
    assert cleaned[0x2B73F] == " \U0002b73f "


def test_a_word_may_have_a_hundred_letters() -> None:
    words = {**WORDS, "##a": 10}
    assert WordPiece(words, 200).encode("a" * 100) == [1, 3, *[10] * 99, 2]
    assert WordPiece(words, 200).encode("a" * 101) == [1, 0, 2]


@pytest.mark.parametrize("count", [3, 4, 5, 6, 7, 20])
def test_a_text_has_as_many_tokens_as_fit_between_its_ends(count: int) -> None:
    assert WordPiece(WORDS, 6).encode("d " * count) == [1, *[8] * min(count, 4), 2]
    assert WordPiece(WORDS, 6).encode("abc " * count) == [1, 4, 5, 4, 5, 2]
    pieces = [("<s>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("\u2581d", -1.0)]
    assert Unigram(pieces, 2, 6).encode("d " * count) == [0, *[3] * min(count, 4), 1]


def test_words_are_remembered_until_they_are_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokenizers, "CACHED_WORDS", 3)
    tokenizer = WordPiece(WORDS, 20)
    tokenizer.encode("a d ab")
    assert list(tokenizer._words) == ["a", "d", "ab"]
    tokenizer.encode("a abc")
    assert list(tokenizer._words) == ["abc"]


def test_a_long_word_is_spelt_part_by_part(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokenizers, "UNIGRAM_WORD_CHARS", 3)
    names = ["<s>", "</s>", "<unk>", "\u2581", "a", "b", "ab", "ba", "\u2581ab", "bab"]
    model = Unigram([(name, -1.0) for name in names], 2, 20)
    assert [names[i] for i in model.encode("abab")] == ["<s>", "\u2581ab", "ab", "</s>"]
    assert [names[i] for i in model.encode("abaaxbab")] == [
        "<s>",
        "\u2581ab",
        "a",
        "a",
        "<unk>",
        "bab",
        "</s>",
    ]


def test_the_likeliest_pieces_are_not_the_fewest() -> None:
    scores = {
        "<s>": 0.0,
        "</s>": 0.0,
        "<unk>": 0.0,
        "\u2581": -1.0,
        "a": -1.0,
        "b": -1.0,
        "ab": -3.0,
        "\u2581a": -1.5,
    }
    names = list(scores)
    model = Unigram(list(scores.items()), 2, 20)
    assert [names[i] for i in model.encode("ab")] == ["<s>", "\u2581a", "b", "</s>"]
    # An unknown letter is 10 less likely than the least likely piece, so that no known one is unknown with it.
    assert [names[i] for i in model.encode("axxbx")] == [
        "<s>",
        "\u2581a",
        "<unk>",
        "b",
        "<unk>",
        "</s>",
    ]


def test_a_piece_is_found_wherever_its_slot_is_taken() -> None:
    for count in (1, 2, 3, 5, 8, 100):
        table = PieceTable({f"p{number}": number * 3 for number in range(count)})
        assert [table[f"p{number}"] for number in range(count)] == list(range(0, count * 3, 3))
        assert len(table._slots) >= 2 * count
        assert table.get(f"p{count}", 7) == 7
        assert table.longest == len(f"p{count - 1}")


# --- files of lore ------------------------------------------------------------------------------


def test_what_leads_out_or_is_hidden_or_no_text_is_left_out_and_what_follows_is_not(
    tmp_path: Path,
) -> None:
    root = tmp_path / "lore"
    (root / "b").mkdir(parents=True)
    (tmp_path / "secret.md").write_text("s")
    (root / "a.md").symlink_to(tmp_path / "secret.md")
    (root / "aa.md").symlink_to(root / "nowhere.md")
    (root / "ab.md").symlink_to(root / "ab.md")
    (root / "ac").symlink_to(root / "b")
    for name in ("b/x.TXT", ".c.md", "d.png", "e.md", "b/.y.md"):
        (root / name).write_text("12345")
    (root / "f.md").symlink_to(root / "e.md")
    found = list_files(root)
    assert list(found) == ["b/x.TXT", "e.md", "f.md"]
    assert found["e.md"] == found["f.md"] == Stamp(5, os.stat(root / "e.md").st_mtime_ns)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every folder")
def test_a_folder_that_may_not_be_read_is_left_out(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "x.md").write_text("x")
    (tmp_path / "a").chmod(0)
    assert list(list_files(tmp_path)) == ["b/x.md"]
    (tmp_path / "a").chmod(0o700)


def test_a_file_is_read_up_to_its_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "SOURCE_BYTES", 4)
    path = tmp_path / "a.md"
    for data, read in (
        (b"abcd", ("abcd", "")), (b"\xef\xbb\xbfa", ("a", "")), (b"a\0", ("", "it is no text")),
        (b"a\xff", ("", "it is not UTF-8 (byte 1)")), (b"abcde", ("", "it is larger than 0 MiB")),
    ):  # fmt: skip
        path.write_bytes(data)
        assert read_text(path) == read
    path.unlink()
    assert read_text(path) == ("", "it vanished while it was read")


@pytest.mark.parametrize(
    ("path", "remote"),
    [
        ("/home/me", False), ("/mnt/share/lore", True), ("/mnt/share", True), ("/mnt/shared", False),
        ("/mnt/share/usb/x", False), ("/mnt/my disk/x", True), ("/mnt/share/usb", False),
    ],
)  # fmt: skip
def test_the_longest_mount_says_whether_a_path_is_remote(path: str, remote: bool) -> None:
    mounted = "d / ext4 rw 0 0\nn /mnt/share nfs4 rw 0 0\nu /mnt/share/usb vfat rw\n\nodd\nm /mnt/my\\040disk cifs rw"
    assert is_remote(Path(path), mounted) is remote


def test_a_machine_without_a_disk_of_its_own_is_remote_as_a_whole() -> None:
    assert is_remote(Path("/home/me"), "n / nfs4 rw 0 0")
    assert not is_remote(Path("/home/me"), "")


def test_a_name_is_printed_on_one_line() -> None:
    assert printable_name("a\udcff\nb.md") == "a\ufffd\ufffdb.md"


@pytest.mark.parametrize(
    ("matter", "values"),
    [
        ("keys: a, ,b", {"keys": ("a", "b"), "order": 100, "probability": 100, "constant": False}),
        ("keys: [a, 5]\nsecondary_keys: c", {"keys": ("a", "5"), "secondary_keys": ("c",)}),
        (
            "constant: true\norder: 7\nprobability: 2.5",
            {"constant": True, "order": 7, "probability": 2.5},
        ),
        ("keys: a\norder: true\nprobability: x", {"order": 100, "probability": 100}),
        ("keys: a\nconstant: 1", {"constant": False}),
        ("keys: " + "k" * (limits.LORE_KEY_CHARS + 1), {"keys": ("k" * limits.LORE_KEY_CHARS,)}),
        ("constant: true\nkeys: {a: b}", {"keys": ()}),
    ],
)
def test_front_matter_says_when_an_entry_fires(matter: str, values: Mapping[str, object]) -> None:
    for line_end in ("\n", "\r\n"):
        text = f"---\n{matter}\n---\n\n The bell. \n".replace("\n", line_end)
        entry, body = entry_of("file:a", "A", text)
        assert entry is not None
        assert body == entry.content == "The bell."
        assert (entry.uid, entry.comment) == ("file:a", "A")
        assert {name: getattr(entry, name) for name in values} == values


def test_text_begins_right_below_its_front_matter() -> None:
    entry, body = entry_of("file:a", "A", "---\nconstant: true\n---\nx")
    assert entry is not None
    assert entry.content == body == "x"


@pytest.mark.parametrize(
    "text",
    [
        "", "The bell.", "---\nkeys: a\n", "---\ntitle: a\n---\nx", "---\n- a\n---\nx", "---\nkeys: [\n---\nx",
        " ---\nkeys: a\n---\nx", "---\nkeys: ','\n---\nx", f"---\nkeys: a{' ' * lore_files.MATTER_CHARS}\n---\nx",
    ],
)  # fmt: skip
def test_without_keys_front_matter_is_text(text: str) -> None:
    assert entry_of("file:a", "A", text) == (None, text)


def test_a_file_has_so_many_keys() -> None:
    keys = ",".join(f"k{number}" for number in range(lore_files.KEYS + 1))
    entry, _ = entry_of("file:a", "A", f"---\nkeys: {keys}\n---\nx")
    assert entry is not None
    assert len(entry.keys) == lore_files.KEYS
    assert entry.keys[-1] == f"k{lore_files.KEYS - 1}"


# --- folders that worlds follow -----------------------------------------------------------------


class Lore:
    """A store and a library that note what is done to them."""

    def __init__(self) -> None:
        self.calls: list[tuple[object, ...]] = []

    async def read(self, *_: object) -> list[tuple[str, str]]:
        await trio.lowlevel.checkpoint()
        return [("vael", "/lore/vael")]

    async def write(self, function: object, *values: object) -> None:
        await trio.lowlevel.checkpoint()
        self.calls.append((getattr(function, "__name__", ""), *values))

    async def sources(self, scope: str) -> dict[str, int]:
        await trio.lowlevel.checkpoint()
        return {"file:a.md": 1, "world": 2, "file:b.md": 3} if scope == "lore:vael" else {}

    async def drop_source(self, scope: str, source: str) -> int:
        await trio.lowlevel.checkpoint()
        self.calls.append((scope, source))
        return 1


async def test_a_folder_that_is_followed_no_longer_takes_its_own_lore_along(tmp_path: Path) -> None:
    lore, notes = Lore(), list[str]()
    async with trio.open_nursery() as nursery:
        following = folders.Folders(lore, lore, nursery, notes.append, roots=lambda: [tmp_path])  # type: ignore[arg-type]
        (tmp_path / "lore").mkdir()
        following._follow = lambda world_id, path: lore.calls.append(("follows", world_id, path))  # type: ignore[method-assign]
        await following.start()
        assert lore.calls == [("follows", "vael", Path("/lore/vael"))]
        lore.calls.clear()
        following._following["vael"] = scope = trio.CancelScope()
        assert await following.sync("vael", str(tmp_path / "lore")) == tmp_path / "lore"
        gone: list[tuple[object, ...]] = [
            ("unfollow", "vael"), ("_keep_book", "vael", {}, 0.0),
            ("lore:vael", "file:a.md"), ("lore:vael", "file:b.md"),
        ]  # fmt: skip
        assert scope.cancel_called
        assert lore.calls == [
            *gone, ("follow", "vael", str(tmp_path / "lore")), ("follows", "vael", tmp_path / "lore")
        ]  # fmt: skip
        lore.calls.clear()
        assert not await following.unsync("vael")
        assert lore.calls == gone
        following._following["vael"] = trio.CancelScope()
        assert await following.unsync("vael")


def test_lore_lies_below_a_place_for_lore(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "c").mkdir()
    (tmp_path / "a" / "out").symlink_to(tmp_path / "c")
    places = [tmp_path / "nowhere", tmp_path / "a"]
    for name in ("a", "a/b"):
        assert folders._folder(str(tmp_path / name), places) == tmp_path / name
    for name in ("c", "a/out"):
        with pytest.raises(
            CommandError, match=r"none of the places for lore \(\S+/nowhere and \S+/a\)"
        ):
            folders._folder(str(tmp_path / name), places)
    with pytest.raises(CommandError, match=r"places for lore \(nowhere\)"):
        folders._folder(str(tmp_path), [])
    with pytest.raises(CommandError, match="whole path"):
        folders._folder("a", places)
    with pytest.raises(CommandError, match="There is no folder"):
        folders._folder(str(tmp_path / "a" / "x"), places)


def test_what_went_wrong_together_is_said_one_by_one() -> None:
    one, other, third = OSError("a"), OSError("b"), StoreError("c")
    group = ExceptionGroup("", [one, ExceptionGroup("", [other, third])])
    assert list(folders._leaves(group)) == [one, other, third]

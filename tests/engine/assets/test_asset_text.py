"""A file that a person wrote keeps what they wrote when a field of it is changed by command."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from flower.engine.assets import yaml_files
from flower.engine.assets.kinds import Character, World
from flower.engine.assets.loader import SHIPPED, load_assets
from flower.errors import AssetError
from flower.settings import safe_yaml

HAND = """\
# The ferryman of the north bank.
id: ned
name: Old Ned   # as people call him

author: me  # a key of another program
# who he is
persona: |
  Keeps the ferry.

  # not a comment
  Says little.

# what he says first
greeting: "Late tonight."
"""


def written(tmp_path: Path, text: str, asset: Character) -> tuple[str, bool]:
    folder = tmp_path / "characters"
    folder.mkdir()
    (folder / "ned.yaml").write_text(text)
    path, whole = yaml_files.write(tmp_path, asset)
    return path.read_text(), whole


def test_comments_order_and_foreign_keys_stay(tmp_path: Path) -> None:
    """Only the lines of what changed are other ones."""
    ned = Character(
        "ned", "Ned", "Keeps the ferry.\n\n# not a comment\nSays little.", greeting="Late.\nAgain.",
        tags=("ferry",),
    )  # fmt: skip
    text, whole = written(tmp_path, HAND, ned)
    assert not whole
    for kept in ("# The ferryman", "name: Ned  # as people call him", "author: me  # a key", "# who he is",
                 "# what he says first", "persona: |\n  Keeps the ferry.\n"):  # fmt: skip
        assert kept in text
    assert load_assets([tmp_path]).characters == {"ned": ned}
    assert (tmp_path / "characters" / "ned.yaml.before").read_text() == HAND


@pytest.mark.parametrize(
    "text",
    [
        "{id: ned, name: Old Ned, persona: Old., source: web}",
        "  id: ned\n  name: Old Ned\n  persona: Old.\n  source: web\n",
        "---\nid: ned\nname: Old Ned\npersona: Old.\nsource: web\n...\n",
        '"id": ned\n"name": Old Ned\n"persona": "Old,\n  and dry."\nsource: web',
    ],
)
def test_other_layouts_are_written_anew_or_kept(text: str, tmp_path: Path) -> None:
    """And keys of other programs are in it all the same."""
    ned = Character("ned", "Old Ned", "New.", greeting="Late.")
    after, _ = written(tmp_path, text, ned)
    assert safe_yaml.load(after.encode()).value == {
        "id": "ned", "name": "Old Ned", "persona": "New.", "greeting": "Late.", "source": "web",
    }  # fmt: skip


@pytest.mark.parametrize("folder", ["characters", "worlds", "rules"])
def test_what_comes_with_flower_can_be_changed_and_is_read_as_meant(
    folder: str, tmp_path: Path
) -> None:
    """A copy of each shipped file keeps its comments when its name changes."""
    for path in sorted((SHIPPED / folder).glob("*.yaml")):
        target = tmp_path / folder / path.name
        target.parent.mkdir(exist_ok=True)
        target.write_text(path.read_text())
    for asset in getattr(load_assets([SHIPPED]), folder).values():
        asset = yaml_files.as_read(asset)
        changed = type(asset)(
            **{**{k: getattr(asset, k) for k in asset.__struct_fields__}, "name": "Other"}
        )
        before = yaml_files.find(tmp_path, asset.id, folder)
        assert before is not None
        lines = before.read_text().splitlines()
        path, whole = yaml_files.write(tmp_path, changed)
        assert not whole
        different = [
            old for old, new in zip(lines, path.read_text().splitlines(), strict=True) if old != new
        ]
        assert len(different) == 1
        assert different[0].startswith("name:")
        assert getattr(load_assets([tmp_path]), folder)[asset.id] == changed


def test_another_file_of_the_name_is_never_written_over(tmp_path: Path) -> None:
    """It may hold somebody else, or be broken."""
    folder = tmp_path / "characters"
    folder.mkdir()
    (folder / "ada.yaml").write_text("id: bob\nname: Bob\npersona: B.\n")
    (folder / "ada-2.yaml").write_text("{{{")
    path = yaml_files.write(tmp_path, Character("ada", "Ada", "A.")).path
    assert path.name == "ada-3.yaml"
    assert load_assets([tmp_path]).characters.keys() == {"ada", "bob"}


def test_a_file_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    """And leaves nothing behind."""
    (tmp_path / "worlds").write_text("not a folder")
    with pytest.raises(AssetError, match="cannot be written"):
        yaml_files.write(tmp_path, World("w", "W"))
    assert [path.name for path in tmp_path.iterdir()] == ["worlds"]


KEYS = st.sampled_from(["id", "name", "persona", "greeting", "x"])
TEXTS = st.text(
    st.characters(codec="utf-8", categories=("L", "N", "P", "S")) | st.sampled_from(" \n#:|"),
    max_size=30,
)


@example({"id": "0E0"}, {})
@example({"id": "1" * 400}, {"id": "true"})
@given(st.dictionaries(KEYS, TEXTS, max_size=5), st.dictionaries(KEYS, TEXTS | st.none(), max_size=3))
def test_what_is_edited_says_what_was_meant(
    values: dict[str, str], changes: dict[str, str | None]
) -> None:
    """Of a text that was dumped, whatever is in it; or nothing is said."""
    after = yaml_files.edited(yaml_files.dumped(values) if values else "", changes)
    if after is not None:
        wanted = {key: text for key, text in {**values, **changes}.items() if text is not None}
        assert (safe_yaml.load(after.encode()).value or {}) == wanted

"""The phrase tables of the offline narrator: whole, used, fillable; files of one's own; read late."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest

import flower
from flower.engine.offline.hearing import Disclosure
from flower.engine.offline.scene import speakers_of
from flower.engine.offline.tables import FOLDER, REGISTERS, Event, load, shipped, vocabulary
from flower.engine.provider.base import Completion, Cue, PromptMessage
from flower.errors import ConfigError
from tests.paths import ROOT

CODE = "\n".join(
    path.read_text(encoding="utf-8")
    for path in sorted((Path(flower.__file__).parent / "engine" / "offline").glob("*.py"))
)
NAMED = set(re.findall(r'"([a-z_]+(?:\.[a-z_]+)*)"', CODE))
COMPOUND = set(re.findall(r'f"([a-z_.]+)\{', CODE))  # f"answer.{register} ..."
COMPOUND |= {f"{telling}." for telling in get_args(Disclosure)} | {"site_words."}
SLOTS = set(re.findall(r'"([a-z_]+)":', CODE)) | {"foe_them"}
SETTING_TABLES = {"air", "strangers", "finds", "hour"}


def texts() -> Iterator[tuple[str, str]]:
    """Yields every phrase with where it stands."""
    found = shipped()
    for setting in (*found.settings, found.plain):
        for name, table in setting.tables.items():
            yield from ((f"{setting.key}: {name}", phrase) for phrase in table)
    for name, table in found.tables.items():
        yield from ((name, phrase) for phrase in table)
    for event in found.events:
        yield from ((event.mark, text) for text in (event.opening, event.met, event.ignored))


def test_every_table_is_asked_for_in_the_code() -> None:
    """A table that nobody asks for is a misspelt name."""
    words = set(re.findall(r"[a-z_.]+", " ".join(re.findall(r'"([^"\n]*)"', CODE))))
    for name in shipped().tables:
        assert name in NAMED | words or any(name.startswith(start) for start in COMPOUND), name


def test_the_page_of_phrases_names_tables_that_there_are() -> None:
    """A name with dots behind it is the beginning of several."""
    page = (ROOT / "docs" / "phrases.md").read_text()
    column = re.findall(r"(?m)^\| (`[^|]+) \|", page.partition("| Table |")[2].partition("\n## ")[0])
    names = re.findall(r"`([\w.]+)`", " ".join(column))
    assert len(names) > 40
    tables = shipped().tables
    for name in names:
        if name.endswith("..."):
            assert any(table.startswith(name.removesuffix("...")) for table in tables), name
        else:
            assert any(f".{table}".endswith(f".{name.lstrip('.')}") for table in tables), name


def test_every_slot_of_every_phrase_can_be_filled() -> None:
    for place, phrase in texts():
        for slot in re.findall(r"\{(\w+)", phrase):
            assert slot.lower() in SLOTS, (place, phrase)


def test_braces_and_brackets_are_closed() -> None:
    for place, phrase in texts():
        assert phrase.count("{") == phrase.count("}"), (place, phrase)
        assert phrase.count("[") == phrase.count("]"), (place, phrase)
        assert re.sub(r"\{\w+_said\}", '"', phrase).count('"') % 2 == 0, (place, phrase)


def test_nobody_is_met_in_what_the_air_is_like() -> None:
    """ "Weed has been laid along a sill" is remembered as no person who is there."""
    airs = [
        (place, phrase)
        for place, phrase in texts()
        if place.endswith(" air") or place.startswith("site")
    ]
    assert airs
    for place, phrase in airs:
        plain = "{" not in phrase and '"' not in phrase
        met = [name for name in speakers_of(phrase) if not name.startswith(("the ", "The "))]
        assert not plain or not met, (place, phrase)


def test_no_phrase_is_there_twice() -> None:
    seen: dict[str, str] = {}
    for place, phrase in texts():
        if len(phrase) > 30 and place != "lore_near":  # the same again there makes it likelier
            assert phrase not in seen, (place, seen[phrase], phrase)
            seen[phrase] = place


@pytest.mark.parametrize("register", REGISTERS)
def test_every_way_of_talking_can_say_everything(register: str) -> None:
    tables = shipped().tables
    for name in ("answer", "unknown", "remark", "waits", *_acts()):
        assert len(tables[f"{name}.{register}"]) >= 2, name


def _acts() -> set[str]:
    return {name.rpartition(".")[0] for name in shipped().tables if name.startswith("said_to.")} - {
        "said_to"
    }


def test_every_setting_has_enough_of_everything() -> None:
    for setting in (*shipped().settings, shipped().plain):
        for name in SETTING_TABLES:
            assert len(setting.tables[name]) >= 3, (setting.key, name)


def test_marks_of_events_are_in_their_openings_and_nowhere_else() -> None:
    """A mark found by chance in another phrase would continue a story that never began."""
    events = shipped().events
    assert len(events) > 30
    others = "\n".join(
        phrase for place, phrase in texts() if place not in {event.mark for event in events}
    ).casefold()
    for event in events:
        mark = event.mark.casefold()
        assert mark in event.opening.casefold()
        assert mark not in others
        for other in events:
            said = f"{other.met} {other.ignored} {other.opening if other is not event else ''}"
            assert mark not in said.casefold(), (event.mark, other.mark)


def test_the_words_of_the_parser_are_read() -> None:
    known = vocabulary()
    assert known.verbs["open"] == "use"
    assert known.verb_phrases["look", "for"] == "search"
    assert "the" in known.sets["stop_words"]


def test_nothing_is_read_or_imported_before_the_first_reply() -> None:
    """A start pays nothing for a narrator that does not narrate."""
    code = (
        "import sys; from flower.engine.offline.provider import OfflineNarrator; OfflineNarrator(); "
        "print([name for name in sys.modules if name.startswith('flower.engine.offline.')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "['flower.engine.offline.provider']"


# --- files of one's own ---------------------------------------------------------------------------
SETTING = """\
words: lantern canal gondola palazzo
air:
- The canal slaps at the steps.
strangers: [a gondolier with a bad knee]
finds: [a mask with one tear on it]
hour: [A clock strikes thirteen.]
look:
- You look, and the water looks back.
events:
- mark: a mask on the water
  words: mask look take
  opening: There is a mask on the water.
  met: You take it out. It is warm.
  ignored: It drifts under the bridge.
"""


def test_a_setting_of_ones_own_is_played_where_its_words_are_used(tmp_path: Path) -> None:
    from flower.engine.offline.provider import reply

    (tmp_path / "lagoon.yaml").write_text(SETTING)
    found = load(tmp_path)
    [event] = [event for event in found.events if event.setting == "lagoon"]
    assert event == Event(
        "a mask on the water", "mask look take", "There is a mask on the water.",
        "You take it out. It is warm.", "It drifts under the bridge.", "lagoon",
    )  # fmt: skip
    cue = Cue(line="I look around", scene="A canal, a gondola and a lantern at the palazzo.")
    said = "".join(
        reply(Completion("narrator", (PromptMessage("user", cue.line),), 800, 8192, cue=cue), found)
    )
    assert "You look, and the water looks back." in said or "canal slaps" in said


def test_a_table_of_ones_own_replaces_the_shipped_one(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("look:\n- You see what you came to see.\n")
    assert load(tmp_path).tables["look"] == ("You see what you came to see.",)
    assert load(tmp_path).tables["move"] == shipped().tables["move"]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("look: You look.\n", "mine.yaml: look must be a list of phrases, each behind a dash"),
        ("look:\n- yes: no\n", "mine.yaml: look holds {'yes': 'no'}, which is no phrase"),
        ("- You look.\n", "mine.yaml: names with a colon are expected"),
        ("words: canal\n", "mine.yaml: a setting needs a list of air"),
        ("look: [\n", "mine.yaml: "),
        ("events:\n- mark: x\n", "mine.yaml: an event has mark, words, opening, met and ignored"),
        (
            "events:\n- {mark: x, words: b, opening: c, met: d, ignored: e}\n",
            "mine.yaml: the mark 'x' of an event must be in its opening",
        ),
    ],
)
def test_a_broken_file_is_named_and_left_out(tmp_path: Path, text: str, sentence: str) -> None:
    (tmp_path / "mine.yaml").write_text(text)
    found = load(tmp_path)
    assert found.problems[0].startswith(sentence)
    assert found.tables == shipped().tables


def test_a_broken_shipped_file_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "acts.yaml").write_text("look: 3\n")
    monkeypatch.setattr("flower.engine.offline.tables.FOLDER", tmp_path)
    with pytest.raises(ConfigError, match=r"acts\.yaml: look must be a list"):
        load()


def test_the_files_are_shipped_with_the_package() -> None:
    setup = (FOLDER.parents[3] / "setup.cfg").read_text(encoding="utf-8")
    for folder in ("phrases", "phrases/settings"):
        assert f"engine/offline/{folder}/*.yaml" in setup

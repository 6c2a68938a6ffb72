"""What rows keep beside their columns: typed, unknown keys stay, damage costs itself alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import trio.testing
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock

from flower.engine.store import stories
from flower.engine.store.extra import (
    ManifestEntry,
    MessageExtra,
    RollRecord,
    SessionExtra,
    dump_extra,
    load_extra,
)
from flower.protocol.messages import ChatHistory, ErrorEvent
from tests.engine_world import engine_world

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
KEYS = st.sampled_from([*MessageExtra.__struct_fields__, *SessionExtra.__struct_fields__, "card"])


def test_what_is_known_is_read_with_its_type() -> None:
    data = (
        '{"recalled":"n","private":[["mara","x"]],"recalled_ids":[3],"stands":[["sheet /state","s"]],'
        '"roll":{"of":"2d6","total":7,"degree":null},"manifest":[{"section":"a","source":"b","tokens":3}]}'
    )
    assert load_extra(data, MessageExtra) == MessageExtra(
        recalled="n",
        private=(("mara", "x"),),
        recalled_ids=(3,),
        stands=(("sheet /state", "s"),),
        roll=RollRecord("2d6", 7),
        manifest=(ManifestEntry("a", "b", 3),),
    )


@given(st.dictionaries(KEYS | st.text(max_size=8), JSON, max_size=6))
def test_reading_and_writing_loses_nothing_that_has_a_value(values: dict[str, object]) -> None:
    """Neither unknown keys nor known ones with a value of the wrong kind; empty values may go."""
    for kind in (MessageExtra, SessionExtra):
        extra = load_extra(json.dumps(values), kind)
        written = json.loads(dump_extra(extra))
        assert load_extra(json.dumps(written), kind) == extra
        for key, value in values.items():
            known = key in kind.__struct_fields__ and key not in extra.others
            assert written.get(key) == value or (
                known and (not value or isinstance(value, list | dict))
            )


@pytest.mark.parametrize("data", ["", "{", "[1]", "5", '"x"', "null", '{"a":', "[" * 5000])
def test_text_that_is_no_object_reads_as_nothing(data: str) -> None:
    assert load_extra(data, MessageExtra) == MessageExtra()
    assert load_extra(data, SessionExtra) == SessionExtra()


@pytest.mark.parametrize("damage", ["{", '{"manifest" "state" "variables"', "[1]", "null", "\x01"])
async def test_damaged_rows_keep_nobody_from_a_story(
    autojump_clock: MockClock, tmp_path: Path, damage: str
) -> None:
    """The story opens, goes on, is edited, listed and explained; new data is kept again."""
    async with engine_world(tmp_path / "db") as world:
        face = await world.playing()
        await face.say_and_wait("One.")
        story = face.client.chosen.session_id
        await world.database.write(_damage, damage)
        late = await world.face()
        await trio.testing.wait_all_tasks_blocked()
        assert late.client.session is not None
        (history,) = late.of(ChatHistory)
        assert [item.content for item in history.metadata.history][1] == "One."
        for line in ("Two.", "/edit Three.", "/retry", "/continue"):
            await late.say_and_wait(line)
        for line in (
            "/set temperature 1",
            "/set-state place Here",
            "/note Be brief.",
            "/why",
            "/state",
        ):
            await late.say_and_wait(line)
        assert late.reasons == ["done"] * 4
        assert not late.of(ErrorEvent), [event.content for event in late.of(ErrorEvent)]
        stored = await world.database.read(stories.session, story)
        assert stored is not None
        assert stored.extra.params == {"temperature": 1}
        path = await world.database.read(stories.active_path, story)
        assert path[-1].extra.manifest == ()  # paths come without


def _damage(db: object, text: str) -> None:
    db.execute("UPDATE messages SET extra = ?", (text,))  # type: ignore[attr-defined]
    db.execute("UPDATE sessions SET extra = ?", (text,))  # type: ignore[attr-defined]
    db.execute("UPDATE selections SET rules = ?", (text,))  # type: ignore[attr-defined]

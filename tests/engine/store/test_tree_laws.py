"""What belongs to a story follows its way through the tree, whatever commands are given.

The tree's own laws are in ``test_tree``. Here the same commands run in any order while the state sheet
changes, dice fall, lore is told and summaries are made, and after each of them everything that the
narrator is told is what a replay from the root to where the story stands gives.
"""

from __future__ import annotations

import functools

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import invariant, precondition, rule

from flower.engine.game.state import StoryState
from flower.engine.store import outline, search, states, stories
from tests.engine.game.test_game import count
from tests.engine.store.test_tree import AnyCommands, S
from tests.postgres_cluster import needed


class FollowsTheStory(AnyCommands):
    """Beside the database: which message lies above which, and what was kept with each."""

    def __init__(self) -> None:
        super().__init__()
        self.above: dict[int, int] = {}
        self.roles: dict[int, str] = {}
        self.hp: dict[int, int] = {}  # by message, 0 for the story itself
        self.hp_before: dict[int, list[int | None]] = {}  # the same, what it was before each change
        self.lore: dict[int, list[int]] = {}
        self.summed: dict[int, str] = {}
        self.picked = 0

    def pick(self, data: st.DataObject) -> int:
        self.picked = super().pick(data)
        return self.picked

    def keep(self, *ids: int) -> None:
        super().keep(*ids)
        for message in ids:
            if message in self.above:
                continue
            parent, role, edited = self.db.execute(
                "SELECT coalesce(parent_id, 0), role, json_extract(extra, '$.edited') FROM messages WHERE id = ?",
                (message,),
            ).fetchone()
            self.above[message], self.roles[message] = parent, role
            if edited and self.picked in self.hp:  # the same happened, in other words
                self.hp[message] = self.hp[self.picked]
                self.hp_before[message] = list(self.hp_before[self.picked])

    def way(self) -> list[int]:
        """Returns the messages from the root to where the story stands, by what was written down here."""
        message = stories.active_leaf(self.db, S) or 0
        found = []
        while message:
            found.append(message)
            message = self.above[message]
        return found[::-1]

    @rule(by=st.integers(-3, 3))
    def change_state(self, by: int) -> None:
        way = [0, *self.way()]
        before = next((self.hp[message] for message in reversed(way) if message in self.hp), 0)
        self.attempt(lambda: states.change_state(self.db, S, functools.partial(count, by=by)))
        earlier = [*self.hp_before.get(way[-1], []), self.hp.get(way[-1])]
        self.hp_before[way[-1]] = earlier[-states.STATE_UNDO :]
        self.hp[way[-1]] = before + by

    @rule()
    def take_the_last_change_back(self) -> None:
        taken = self.attempt(lambda: states.undo_state(self.db, S))
        changed = [message for message in (0, *self.way()) if message in self.hp]
        earlier = self.hp_before[changed[-1]] if changed else []
        assert taken == bool(earlier), "so many changes can be taken back as are kept"
        if earlier:
            old = earlier.pop()
            if old is None:
                del self.hp[changed[-1]]
                del self.hp_before[changed[-1]]
            else:
                self.hp[changed[-1]] = old

    @precondition(lambda self: self.way())
    @rule(passage=st.integers(1, 9))
    def tell_lore(self, passage: int) -> None:
        """It is told once on each way, and kept with the line that it was told with."""
        message = self.way()[-1]
        self.lore.setdefault(message, []).append(passage)
        stories.set_message_extra(self.db, message, {"recalled_ids": self.lore[message]})

    @precondition(lambda self: self.way())
    @rule(data=st.data())
    def summarise(self, data: st.DataObject) -> None:
        message = data.draw(st.sampled_from(self.way()))
        self.summed[message] = f"Summary {len(self.summed)}."
        search.add(self.db, message, self.summed[message], self.tick())

    @invariant()
    def state_is_what_a_replay_from_the_root_gives(self) -> None:
        way = self.way()
        hp = 0
        for message in (0, *way):
            hp = self.hp.get(message, hp)
        found = states.current(self.db, S, 1.0)
        assert found.state.sheet.skills.get("hp", 0) == hp
        assert found.now.lines == sum(self.roles[message] == "user" for message in way)
        if not any(message in self.hp for message in (0, *way)):
            assert found.state == StoryState()

    @invariant()
    def dice_lore_memories_and_summaries_are_those_of_the_way(self) -> None:
        way = self.way()
        path = stories.active_path(self.db, S)
        assert sorted(stories.path_ids(self.db, stories.active_leaf(self.db, S))) == way  # of memories
        assert [m.content for m in path] == [self.written[message] for message in way]
        assert [m.id for m in path if m.role == "system"] == [
            message for message in way if self.roles[message] == "system"
        ]
        told = [passage for m in path for passage in m.extra.recalled_ids]
        assert told == [passage for message in way for passage in self.lore.get(message, ())]
        newest = search.newest(self.db, way[-1] if way else None)
        last = next((message for message in reversed(way) if message in self.summed), None)
        expected = search.Summary(last, self.summed[last]) if last is not None else None
        assert newest == expected

    @invariant()
    def the_outline_is_of_the_same_tree(self) -> None:
        """Every way is in it, and the one that the story is on is marked."""
        found = outline.read(self.db, S, None)
        visible = [m.id for m in stories.tree(self.db, S)]
        way = set(self.way())
        assert sum(max(1, node.folded) for node in found.nodes if not node.deleted) == len(visible)
        for node in found.nodes:
            if not node.folded and not node.deleted:
                assert node.active == (node.message in way)
                assert (found.leaf == node.message) == (node.message == max(way, default=0))


FollowsTheStory.TestCase.settings = settings(max_examples=40, stateful_step_count=40, deadline=None)
TestFollowsTheStory = FollowsTheStory.TestCase


class FollowsTheStoryInPostgres(FollowsTheStory):
    """The same over rows of a server."""

    kind = "postgres"


FollowsTheStoryInPostgres.TestCase.settings = settings(
    max_examples=15, stateful_step_count=40, deadline=None
)
TestFollowsTheStoryInPostgres = needed(FollowsTheStoryInPostgres.TestCase)

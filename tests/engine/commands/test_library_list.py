"""Long lists come page by page: what is typed filters all of the library, and the state stays small."""

from __future__ import annotations

from pathlib import Path

import trio.testing
from msgspec.structs import replace

from flower.client.events import Send
from flower.engine.assets.shelves import Brief
from flower.engine.commands.library import PAGE, TUTORIAL, Ranking, arranged
from flower.protocol import codec
from flower.protocol.messages import (
    UNSET,
    CommandOption,
    ErrorEvent,
    LibraryItem,
    Listing,
    State,
    SyncState,
    SystemUpdate,
)
from flower.tui.state import popup_items
from flower.tui.term.inputs import Key
from tests.engine_world import ASSETS, EngineWorld, engine_world
from tests.engine_world import Face as Client
from tests.tui_world import COMMANDS, Face


def briefs(count: int) -> list[Brief]:
    return [Brief(f"p{n}", f"Person {n:04}", "Mends clocks.", ("clocks",)) for n in range(count)]


async def page(client: Client, line: str) -> Listing:
    client.events.clear()
    await client.say(line)
    await trio.testing.wait_all_tasks_blocked()
    found = [e.metadata.listing for e in client.of(SystemUpdate) if e.metadata.listing is not UNSET]
    assert isinstance(found[-1], Listing)
    return found[-1]


def fill(world: EngineWorld, count: int) -> None:
    for brief in briefs(count):
        world.engine.imports.imported.put(brief, b"")


# --- the engine ---------------------------------------------------------------------------------


def test_favourites_lead_then_what_was_played_last() -> None:
    """Then the rest by name; words filter before."""
    shelf = Ranking(frozenset({"p7"}), {"p3": 50.0, "p5": 90.0})
    assert [one.id for one in arranged(briefs(9), "", shelf)][:4] == ["p7", "p5", "p3", "p0"]
    assert [one.id for one in arranged(briefs(9), "0005", shelf)] == ["p5"]


async def test_a_library_is_sent_in_pages_that_fit_a_frame(tmp_path: Path) -> None:
    """All of it can be reached; what every client gets when it comes does not grow."""
    async with engine_world(tmp_path / "flower.db") as world:
        client = await world.face()
        sizes = []
        for count in (0, 5000):
            fill(world, count)
            client.events.clear()
            await client.say("/sync")
            await trio.testing.wait_all_tasks_blocked()
            sizes.append(len(codec.encode(client.of(SyncState)[-1])))
        assert sizes[1] < sizes[0] + 50_000
        seen: list[str] = []
        while True:
            got = await page(client, f"/library characters {len(seen)}")
            assert len(codec.encode(SystemUpdate("", State(listing=got)))) < 100_000
            seen += [one.id for one in got.items]
            if not got.items:
                break
        assert (len(seen), len(set(seen)), got.total) == (5001, 5001, 5001)
        found = await page(client, "/library characters 0 CLOCKS p4999")
        assert [one.name for one in found.items] == ["Person 4999"]
        assert (await page(client, "/library characters clocks 4998")).total == 1


async def test_a_newcomer_finds_the_world_that_teaches_first(tmp_path: Path) -> None:
    """Until something was played or liked; then it stands where its name does."""
    async with engine_world(tmp_path / "flower.db") as world:
        client = await world.face()
        services = world.engine.services
        taught = {**ASSETS.worlds, TUTORIAL: replace(ASSETS.worlds["harbour"], id=TUTORIAL, name="Zed")}
        services = replace(services, assets=services.assets._replace(worlds=taught))
        world.engine.use(services, world.engine.registry)
        assert [w.id for w in (await page(client, "/library worlds")).items] == [
            TUTORIAL,
            "forest",
            "harbour",
        ]
        await client.say("/world favourite forest")
        assert [w.id for w in (await page(client, "/library worlds")).items] == [
            "forest",
            "harbour",
            TUTORIAL,
        ]


async def test_favourites_and_the_last_played_are_told(tmp_path: Path) -> None:
    """Characters, worlds and books; a second time takes one off."""
    async with engine_world(tmp_path / "flower.db") as world:
        client = await world.playing()
        fill(world, 5)
        await client.say("/character select mara")
        await client.say("/character favourite p4")
        await client.say("/world favourite forest")
        await client.say("/lorebook new Harbour")
        await client.say("/lorebook favourite harbour")
        first, second = (await page(client, "/library characters")).items[:2]
        assert (first.id, first.favourite, first.tags) == ("p4", True, ("clocks",))
        assert (second.id, second.favourite, second.played > 0) == ("mara", False, True)
        worlds = (await page(client, "/library worlds")).items
        assert [(one.id, one.favourite, one.played > 0) for one in worlds] == [
            ("forest", True, False), ("harbour", False, True)]  # fmt: skip
        assert (await page(client, "/library books")).items == (
            LibraryItem("1", "Harbour", favourite=True),
        )
        await client.say("/character favourite p4")
        assert not (await page(client, "/library characters")).items[0].favourite
        assert not client.of(ErrorEvent)
        for line in (
            "/library cheese",
            "/library",
            "/character favourite nobody",
            "/lorebook favourite",
        ):
            client.events.clear()
            await client.say(line)
            await trio.testing.wait_all_tasks_blocked()
            assert client.of(ErrorEvent), line


# --- the screen ---------------------------------------------------------------------------------

NEW = (
    CommandOption("/library", "/library KIND", "a page"),
    CommandOption("/character favourite", "/character favourite [ID]", "keep", "characters"),
    CommandOption("/character edit", "/character edit ID [FIELD [TEXT]]", "change", "characters"),
    CommandOption("/lore add", "/lore add WORLD TEXT", "add lore", "worlds"),
)
EVERY = [LibraryItem(f"p{n}", f"Person {n:04}", "Mends clocks.", ("clocks",)) for n in range(250)]


def opened() -> Face:
    face = Face().online(commands=(*COMMANDS, *NEW), chosen=True)
    return face.put(Key("f3"))


def answer(face: Face, words: str, offset: int = 0) -> Face:
    found = [one for one in EVERY if words in f"{one.name} {one.id}".casefold()]
    return face.says(
        SystemUpdate(
            "",
            State(
                listing=Listing(
                    "characters", words, len(found), tuple(found[offset : offset + PAGE]), offset
                )
            ),
        )
    )


def asked(face: Face) -> list[str]:
    return [effect.prompt for effect in face.sent() if effect.prompt.startswith("/library")]


def test_an_open_list_is_asked_for_page_by_page() -> None:
    """Once at first, again near the end of what has come, never twice."""
    face = opened()
    assert asked(face) == ["/library characters 0"]
    assert "Mira the Cartographer" in face.text()
    face.tick(0.2)
    assert asked(face) == []
    answer(face, "")
    assert "Person 0000" in face.text()
    assert "1/250" in face.text()
    for _ in range(11):
        face.put(Key("pagedown"))
    assert asked(face) == ["/library characters 100"]
    answer(face, "", 100)
    face.put(Key("end"))
    assert asked(face) == ["/library characters 200"]
    answer(face, "", 200)
    face.put(Key("end"))
    assert "Person 0249" in face.text()
    assert asked(face) == []


def test_typing_filters_all_of_the_library() -> None:
    """After a rest, not with every letter; until it comes the list is what is known here."""
    face = opened()
    answer(face, "")
    face.sent()
    for letter in "p249":
        face.put(Key(letter, letter))
        assert asked(face) == []
    face.tick(0.2)
    assert asked(face) == ["/library characters 0 p249"]
    answer(face, "p24")  # too late for what was typed
    answer(face, "p249")
    assert [item.value for item in popup_items.items(face.model)] == ["p249"]
    face.put(Key("enter"))
    assert face.sent()[-1].prompt == "/character select p249"


def test_a_favourite_is_made_in_the_list() -> None:
    """With Ctrl-F; the list is asked for again and stays where it is meanwhile."""
    face = opened()
    answer(face, "")
    face.sent()
    face.put(Key("down"), Key("ctrl+f"))
    assert [e.prompt for e in face.sent()] == ["/character favourite p1", "/library characters 0"]
    assert "Person 0001" in face.text()
    face.says(
        SystemUpdate(
            "",
            State(
                listing=Listing(
                    "characters", "", 1, (LibraryItem("p1", "Person 0001", favourite=True),)
                )
            ),
        )
    )
    assert "✿ Person 0001" in face.text()


def test_a_command_asks_with_a_list_for_whom_it_is_meant() -> None:
    """And runs on what was chosen; one that needs a text waits for it in the input line."""
    face = Face().online(commands=(*COMMANDS, *NEW), chosen=True)
    face.type("/character edit").put(Key("space", " "), Key("enter"))
    assert "Characters: /character edit" in face.text()
    face.put(Key("enter"))
    assert face.sent()[-1].prompt == "/character edit mira"
    face.type("/lore add").put(Key("enter"), Key("enter"))
    assert face.model.input.text == "/lore add ember "


def test_an_older_engine_is_asked_for_nothing() -> None:
    """It has told all that there is."""
    face = Face().online(chosen=True).put(Key("f3"))
    face.tick(1.0)
    assert asked(face) == []
    assert "Mira the Cartographer" in face.text()


def test_a_closed_list_is_forgotten() -> None:
    """Nothing is asked once nobody looks, and late pages are left out."""
    face = opened()
    face.put(Key("escape"))
    answer(face, "")
    assert face.model.shelf is None
    assert not [
        e for e in face.effects if isinstance(e, Send) and e.prompt == "/library characters 100"
    ]


def test_the_chosen_entry_stays_chosen_when_the_engine_tells_another_order() -> None:
    """The world in use, and where somebody has moved; the top of a list that nobody has touched stays the top."""
    for chosen, keys, expected in (("glass", "", "glass"), ("", "", "zed"), ("", "<down>", "glass")):
        face = Face().online(session="s1", chosen=True)
        commands = (*COMMANDS, *NEW)
        replica = face.model.replica._replace(commands=commands, world_id=chosen)
        face.model = face.model._replace(replica=replica)
        face.type(f"<f2>{keys}")
        items = (
            LibraryItem("zed", "Zed"),
            LibraryItem("ember", "Ember"),
            LibraryItem("glass", "Glass"),
        )
        face.tick(1.0)
        face.says(SystemUpdate("", State(listing=Listing("worlds", "", 3, items))))
        assert face.model.popup is not None
        assert popup_items.items(face.model)[face.model.popup.place].value == expected, (chosen, keys)

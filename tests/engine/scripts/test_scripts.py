"""Scripts that change texts: what they do alone, and in a story."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import trio.testing
from msgspec.structs import replace

from flower.engine.interchange import reader, script_reader
from flower.engine.prompt.scripted import scripted_page
from flower.engine.provider.base import Finish
from flower.engine.provider.base import Text as Piece
from flower.engine.scripts.apply import Runner, ScriptText, problem_of
from flower.engine.scripts.script import Macros, Script, ScriptPlace, When
from flower.engine.store import stories
from flower.engine.store.library import scripts
from flower.protocol.messages import ChatHistory, ErrorEvent, SystemUpdate
from tests import import_files
from tests.engine_world import EngineWorld, Face, engine_world

REPLY = Script(name="s", pattern="/x/g", replacement="y", places=(ScriptPlace.NARRATOR,))


def told(script: Script, text: str, when: When = When.PROMPT) -> str:
    """What one script makes of a reply."""
    macros = {"{{user}}": "Ann (1)", "{{char}}": "Bo"}

    def expand(text: str) -> str:
        for name, value in macros.items():
            text = text.replace(name, value)
        return text

    return Runner().run((script,), [ScriptText(text, ScriptPlace.NARRATOR)], when, expand).texts[0]


@pytest.mark.parametrize(
    ("pattern", "replacement", "text", "result"),
    [
        ("/a(b)c/g", "[$1]", "abc abc", "[b] [b]"),
        ("/a(b)c/", "[$1]", "abc abc", "[b] abc"),
        ("abc", "-", "abc abc", "- abc"),
        ("/ABC/gi", "<{{match}}>", "abc", "<abc>"),
        ("/(?<who>\\w+) waves/", "$<who> nods", "Bo waves", "Bo nods"),
        ("/a(b)?c/g", "[$1]", "ac", "[]"),
        ("/a/g", "$2", "a", ""),
        ("/<status>[\\s\\S]*?<\\/status>/gm", "", "Hi.<status>\nHP 3\n</status>", "Hi."),
        ("/^-/gm", "*", "-a\n-b", "*a\n*b"),
        ("/a.c/s", "-", "a\nc", "-"),
        ("/x*/g", "-", "axb", "-a--b-"),
        ("/a/gg", "-", "/a/gg a", "- a"),
        ("/a/x", "-", "a", "a"),
        ("/(/", "-", "(", "("),
        ("/a/g", "{{user}} $0 {{char}}", "a", "Ann (1) a Bo"),
        ("/a/g", "$$&", "a", "$$&"),
        ("/😀/gu", "$0!", "😀", "😀!"),
    ],
)
def test_patterns_and_replacements_mean_what_they_mean_elsewhere(
    pattern: str, replacement: str, text: str, result: str
) -> None:
    script = replace(REPLY, pattern=pattern, replacement=replacement)
    assert told(script, text) == result


def test_trimmed_strings_leave_what_is_put_in() -> None:
    """Only what was found loses them, not the text around it."""
    script = replace(REPLY, pattern="/<(.+?)>/g", replacement="+ $1", trims=("{{char}}", "+"))
    assert told(script, "+<Bo+ waves>") == "++  waves"


def test_macros_in_patterns_have_three_ways() -> None:
    """Left alone, put in, or put in with signs escaped."""
    left = replace(REPLY, pattern="/{{user}}/", replacement="-", macros=Macros.LEFT)
    assert told(left, "Ann (1) {{user}}") == "Ann (1) -"
    raw = replace(left, macros=Macros.PUT_IN)
    assert told(raw, "Ann (1) Ann 1") == "Ann (1) -"
    assert told(replace(left, macros=Macros.ESCAPED), "Ann (1) Ann 1") == "- Ann 1"


def test_what_a_model_wrote_never_becomes_a_macro() -> None:
    script = replace(REPLY, pattern="/say (.+)/", replacement="{{char}}: $1")
    assert told(script, "say {{user}}") == "Bo: {{user}}"


def test_where_and_when_a_script_holds() -> None:
    """ScriptPlace, screen or prompt, depth, edits: each keeps it out alone."""
    shown = replace(REPLY, on_screen=True)
    assert (told(shown, "x"), told(shown, "x", When.SCREEN)) == ("x", "y")
    prompt = replace(REPLY, in_prompt=True, least_depth=1, most_depth=2)
    assert [prompt.holds(ScriptPlace.NARRATOR, When.PROMPT, n, raw=True) for n in range(4)] == [
        False, True, True, False,
    ]  # fmt: skip
    assert not prompt.holds(ScriptPlace.PLAYER, When.PROMPT, 1, raw=True)
    assert REPLY.holds(ScriptPlace.NARRATOR, When.SCREEN, 9, raw=True)
    assert not REPLY.holds(ScriptPlace.NARRATOR, When.SCREEN, 9, raw=False)
    assert replace(REPLY, on_edit=True).holds(ScriptPlace.NARRATOR, When.SCREEN, 9, raw=False)
    assert not replace(REPLY, off=True).holds(ScriptPlace.NARRATOR, When.SCREEN, 9, raw=True)


def test_a_pattern_that_never_ends_is_stopped_and_named() -> None:
    """The text stays, and other scripts act."""
    slow = Script(name="slow", pattern="/^(a|aa)+$/", replacement="", places=(ScriptPlace.NARRATOR,))
    found = Runner().run(
        (slow, REPLY),
        [ScriptText("a" * 60 + "x", ScriptPlace.NARRATOR)],
        When.PROMPT,
        lambda text: text,
    )
    assert found.texts == ("a" * 60 + "y",)
    assert found.trouble == ("slow",)
    assert found.acted == {"s": 1}


def test_a_replacement_cannot_grow_without_end() -> None:
    bomb = replace(REPLY, pattern="/./g", replacement="0123456789" * 200)
    found = Runner().run(
        (bomb,), [ScriptText("a" * 5_000, ScriptPlace.NARRATOR)], When.PROMPT, lambda text: text
    )
    assert found.texts == ("a" * 5_000,)
    assert found.trouble == ("s",)


def test_texts_are_worked_on_once() -> None:
    """A story's old messages cost nothing with the next line."""
    calls: list[str] = []

    def expand(text: str) -> str:
        calls.append(text)
        return text

    runner = Runner()
    for _ in range(3):
        runner.run((REPLY,), [ScriptText("x", ScriptPlace.NARRATOR)], When.PROMPT, expand)
    assert len(calls) == 1


def test_scripts_of_old_versions_and_odd_types_are_read() -> None:
    """Numbers as text, a switch where a number belongs now, places that are no more."""
    (one,) = script_reader.read(
        {"findRegex": "/a/", "scriptName": 7, "replaceString": None, "placement": ["1", 2, 9, "x"],
         "substituteRegex": True, "minDepth": "3", "maxDepth": None, "trimStrings": "no list",
         "markdownOnly": 1, "disabled": "false"}
    )  # fmt: skip
    assert one == Script(
        name="7", pattern="/a/", places=(ScriptPlace.PLAYER, ScriptPlace.NARRATOR), macros=Macros.PUT_IN,
        least_depth=3, on_screen=True,
    )  # fmt: skip
    (shown,) = script_reader.read({"findRegex": "a", "scriptName": "", "placement": [0]})
    assert (shown.on_screen, shown.in_prompt, shown.places) == (True, True, tuple(ScriptPlace))
    (sent,) = script_reader.read({"findRegex": "a", "replaceString": "", "placement": [4]})
    assert sent.places == (ScriptPlace.COMMAND,)


def test_scripts_of_risu_are_read() -> None:
    card = {
        "risuai": {
            "customScripts": [
                {"comment": "Bar", "in": "<b>(.*?)</b>", "out": "$1$n{{data}}", "type": "editdisplay",
                 "ableFlag": True, "flag": "gi<order 3>"},
                {"comment": "Order", "in": "x", "out": "@@emo happy", "type": "editoutput"},
                {"comment": "Off", "in": "x", "out": "", "type": "disabled"},
            ]
        }
    }  # fmt: skip
    bar, off = script_reader.of_card(card)
    assert bar == Script(
        name="Bar", pattern="/<b>(.*?)</b>/gi", replacement="$1\n$0",
        places=(ScriptPlace.PLAYER, ScriptPlace.NARRATOR), on_screen=True,
    )  # fmt: skip
    assert off.off
    assert told(bar, "<B>hi</B>", When.SCREEN) == "hi\n<B>hi</B>"


def test_files_of_scripts_are_known_by_their_content() -> None:
    """One script, a list of them, Risu's export, and those in SillyTavern's settings."""
    one = {"id": "1", "scriptName": "One", "findRegex": "/x/g", "replaceString": "", "placement": [2]}
    settings = {"power_user": {}, "extension_settings": {"regex": [one]}}
    risu = {"type": "regex", "data": [{"comment": "One", "in": "x", "out": "", "type": "editoutput"}]}
    for value in (one, [one, one], settings, risu):
        assert reader.read(json.dumps(value).encode()).scripts[0].name == "One"


def test_a_script_that_can_do_nothing_says_why() -> None:
    assert "pattern" in problem_of(replace(REPLY, pattern="/(/"))
    assert problem_of(replace(REPLY, places=()))
    assert not problem_of(REPLY)


# --- in a story ---------------------------------------------------------------------------------

HIDE = {
    "scriptName": "Hide status", "findRegex": "/<status>.*?<\\/status>/gs", "replaceString": "[status]",
    "placement": [2], "markdownOnly": False, "promptOnly": False,
}  # fmt: skip
SWEAR = {
    "scriptName": "Polite", "findRegex": "/damn/g", "replaceString": "dear", "placement": [1],
    "promptOnly": True,
}  # fmt: skip


async def playing_scripted(world: EngineWorld, folder: Path, *, scripts_allowed: bool = False) -> Face:
    card = import_files.card(extensions={"regex_scripts": [HIDE, SWEAR]})
    path = import_files.write(folder / "ada.json", card)
    importer = world.engine.imports.importer
    taken = await importer.take(path, path.name, scripts_allowed=scripts_allowed)
    assert any("2 scripts" in notice for notice in taken.notices)
    face = await world.face()
    await face.say("/character select ada")
    await face.say("/session new")
    return face


def sent(world: EngineWorld) -> str:
    return "\n".join(message.content for message in world.provider.completions[-1].messages)


async def test_a_cards_scripts_rest_until_somebody_says_yes(tmp_path: Path) -> None:
    """Then they act in prompts and on screens, /why names them, and the words stay as they were."""
    async with engine_world(tmp_path / "flower.db") as world:
        face = await playing_scripted(world, tmp_path)
        world.provider.pieces = [Piece("Hello.<status>HP 3</status>"), Finish("done")]
        await face.say_and_wait("damn it")
        await face.say_and_wait("Go on.")
        assert "<status>HP 3" in sent(world)
        assert "damn it" in sent(world)
        await face.say("/script list")
        await face.say("/script on all")
        await trio.testing.wait_all_tasks_blocked()
        texts = [event.content for event in face.of(SystemUpdate)]
        assert any("Hide status" in text and "Polite" in text for text in texts)
        page = face.of(ChatHistory)[-1].metadata.history
        assert "Hello.[status]" in [item.shown for item in page]
        assert "damn it" in [item.content for item in page]
        await face.say_and_wait("And then?")
        assert "Hello.[status]" in sent(world)
        assert "dear it" in sent(world)
        assert "<status>" not in sent(world)
        assert face.of(ChatHistory)[-1].metadata.history[-1].shown == "Hello.[status]"
        await face.say("/why")
        await trio.testing.wait_all_tasks_blocked()
        assert "script: Hide status  changed 2 texts" in face.notice
        assert face.client.session is not None
        path = await world.database.read(stories.active_path, face.client.session.id)
        assert "Hello.<status>HP 3</status>" in [message.content for message in path]
        await face.say("/script off Hide status")
        await face.say_and_wait("And?")
        assert "<status>HP 3" in sent(world)
        assert not face.of(ErrorEvent)


async def test_a_yes_on_import_lets_them_act_at_once(tmp_path: Path) -> None:
    """A newer card has to ask again for what it changed, and only for that."""
    async with engine_world(tmp_path / "flower.db") as world:
        await playing_scripted(world, tmp_path, scripts_allowed=True)
        held = await world.database.read(scripts.holding, ("ada",))
        assert [one.name for one in held] == ["Hide status", "Polite"]
        newer = import_files.card(
            extensions={"regex_scripts": [HIDE, {**SWEAR, "replaceString": "worse"}]}, tags=["new"]
        )
        path = import_files.write(tmp_path / "ada.json", newer)
        taken = await world.engine.imports.importer.take(path, path.name)
        assert taken.state == "updated"
        held = await world.database.read(scripts.holding, ("ada",))
        assert [one.name for one in held] == ["Hide status"]


async def test_scripts_for_everything_come_from_a_file(tmp_path: Path) -> None:
    """They are as their file says, and act with every character."""
    async with engine_world(tmp_path / "flower.db") as world:
        path = tmp_path / "script.json"
        path.write_text(json.dumps([SWEAR, {**HIDE, "disabled": True}]))
        taken = await world.engine.imports.importer.take(path, path.name)
        assert taken.items == ("script Polite", "script Hide status")
        face = await world.playing()
        await face.say_and_wait("damn it")
        assert "dear it" in sent(world)
        again = await world.engine.imports.importer.take(path, path.name)
        assert again.state == "already here"


async def test_scripts_reach_entries_of_lorebooks(tmp_path: Path) -> None:
    """Only those for prompts, as elsewhere."""
    async with engine_world(tmp_path / "flower.db") as world:
        script = {**SWEAR, "placement": [5], "findRegex": "/drowned/g", "replaceString": "lost"}
        book = {
            "entries": {
                "0": {"uid": 0, "key": ["bell"], "content": "The drowned ring it.", "position": 0}
            }
        }
        for name, value in (("a", script), ("b", book)):
            path = tmp_path / f"{name}.json"
            path.write_text(json.dumps(value))
            await world.engine.imports.importer.take(path, path.name)
        face = await world.playing()
        await face.say_and_wait("I wait.")
        await face.say("/lorebook on b")
        await face.say_and_wait("I ring the bell.")
        assert "The lost ring it." in sent(world)


async def test_what_a_message_shows_does_not_depend_on_the_page_it_is_on(tmp_path: Path) -> None:
    """Depth counts from the newest message, also on a page that ends above it."""
    async with engine_world(tmp_path / "flower.db") as world:
        script = {**HIDE, "markdownOnly": True, "minDepth": 3, "maxDepth": 5}
        path = tmp_path / "script.json"
        path.write_text(json.dumps([script]))
        await world.engine.imports.importer.take(path, path.name)
        face = await world.playing()
        for number in range(5):
            world.provider.pieces = [Piece(f"{number}.<status>HP 3</status>"), Finish("done")]
            await face.say_and_wait("Go on.")
        session, services = face.client.session, world.engine.services
        assert session is not None
        whole = await world.database.read(
            scripted_page, services.assets, services.scripts, session.story
        )
        assert whole is not None
        ids = [message.id for message in whole.messages]
        assert set(whole.shown) == {ids[-5]}  # of those three to five above the newest, one is a reply
        for at in range(1, len(ids)):
            part = await world.database.read(
                scripted_page, services.assets, services.scripts, session.story, ids[at]
            )
            assert part is not None
            assert [message.id for message in part.messages] == ids[:at]
            assert set(part.shown) == set(whole.shown) & set(ids[:at])

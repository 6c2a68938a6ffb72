"""What stories are played with is edited in forms and by command: in effect at once, lost to no other client."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio.testing
from msgspec.structs import replace

from flower import limits
from flower.engine.assets.kinds import Character
from flower.engine.assets.loader import SHIPPED, load_assets
from flower.engine.commands import dispatch
from flower.engine.commands.editing import FORM_SENT_BYTES, Subject, form_of
from flower.engine.forms import specs, values
from flower.engine.forms.values import Spec
from flower.engine.store.library import books
from flower.errors import FormError
from flower.protocol.messages import UNSET, ErrorEvent, Form, Prompt, SystemUpdate
from flower.settings import validators
from flower.tui.state.form import TypedField, problem_of
from tests.engine_world import Face, engine_world


async def told(face: Face, line: str, request: str | None = None, **fields: str) -> str:
    """What a prompt with these fields of a form is answered."""
    face.events.clear()
    await dispatch.handle(face.engine, face.client, Prompt(line, request, None, fields or None))
    await trio.testing.wait_all_tasks_blocked()
    said = [e.content for e in face.events if isinstance(e, SystemUpdate | ErrorEvent) and e.content]
    return said[-1]


def form(face: Face) -> Form:
    """The form that came last."""
    found = [e.metadata.form for e in face.of(SystemUpdate) if e.metadata.form is not UNSET]
    assert isinstance(found[-1], Form)
    return found[-1]


def field(shown: Form, name: str) -> str:
    return next(one.value for one in shown.fields if one.name == name)


async def opened(face: Face, line: str) -> Form:
    await told(face, line)
    return form(face)


async def test_a_form_is_saved_and_in_effect_at_once(tmp_path: Path) -> None:
    """With the fields that were changed alone; the file is read at the next start."""
    async with engine_world(tmp_path / "flower.db") as world:
        face = await world.face()
        shown = await opened(face, "/character edit mara")
        assert (shown.subject, field(shown, "name")) == ("character mara", "Mara")
        line = f"/form save {shown.base} {shown.subject}"
        typed = {
            "greeting": "Evening.",
            "tags": "sea, lamps",
            "talkativeness": "0.4",
            "depth_prompt": "Tired.",
        }
        said = await told(face, line, **typed)
        assert said.startswith("✓ Mara is saved")
        mara = world.engine.services.assets.characters["mara"]
        assert (mara.greeting, mara.tags, mara.talkativeness) == ("Evening.", ("sea", "lamps"), 0.4)
        assert mara.depth_prompt is not None
        assert mara.depth_prompt.depth == 4
        assert load_assets([tmp_path / "assets"]).characters == {"mara": mara}


@pytest.mark.parametrize(
    ("kind", "typed", "select"),
    [
        ("character", {"name": "Old Ned", "persona": "Keeps the ferry."}, "/character select old-ned"),
        (
            "world",
            {"name": "Salt", "start_message": "Wind.", "lore": "White stones."},
            "/world select salt",
        ),
        ("rules", {"name": "Brief", "prompt": "Be brief.", "priority": "80"}, "/rules add brief"),
    ],
)
async def test_something_new_is_made_in_a_form(
    kind: str, typed: dict[str, str], select: str, tmp_path: Path
) -> None:
    """Sent twice it is made once; every client can choose it."""
    async with engine_world(tmp_path / "flower.db") as world:
        face, other = await world.face(), await world.face("other")
        shown = await opened(face, f"/{kind} new")
        assert shown.base == "new"
        for _ in range(2):
            assert "is here" in await told(face, f"/form save new {kind}", **typed)
        assert (await told(other, select)).startswith("✓")
        assert len(list((tmp_path / "assets").rglob("*.yaml"))) == 1
        assert "needed" in await told(face, f"/form save new {kind}", name="")


async def test_the_second_of_two_editors_is_told(tmp_path: Path) -> None:
    """It gets the newer version, may save over that, and loses nothing of the first one's other fields."""
    async with engine_world(tmp_path / "flower.db") as world:
        one, two = await world.face("one"), await world.face("two")
        first, second = (
            await opened(one, "/character edit mara"),
            await opened(two, "/character edit mara"),
        )
        await told(one, f"/form save {first.base} {first.subject}", persona="Loud.", scenario="Noon.")
        line = f"/form save {second.base} {second.subject}"
        assert "changed elsewhere" in await told(two, line, persona="Quiet.")
        newer = form(two)
        assert newer.base != second.base
        assert field(newer, "scenario") == "Noon."
        said = await told(two, f"/form save {newer.base} {newer.subject}", persona="Quiet.")
        assert said.startswith("✓")
        mara = world.engine.services.assets.characters["mara"]
        assert (mara.persona, mara.scenario) == ("Quiet.", "Noon.")


async def test_two_saves_at_the_same_moment_are_one_after_the_other(tmp_path: Path) -> None:
    """Exactly one of them is told that it was too late."""
    async with engine_world(tmp_path / "flower.db") as world:
        faces = [await world.face(str(number)) for number in range(4)]
        shown = await opened(faces[0], "/world edit harbour")
        answers: list[str] = []

        async def save(face: Face, scene: str) -> None:
            answers.append(await told(face, f"/form save {shown.base} {shown.subject}", scene=scene))

        async with trio.open_nursery() as nursery:
            for number, face in enumerate(faces):
                nursery.start_soon(save, face, f"Scene {number}.")
        assert sum(answer.startswith("✓") for answer in answers) == 1
        assert sum("changed elsewhere" in answer for answer in answers) == 3


async def test_a_save_that_is_sent_twice_is_done_once(tmp_path: Path) -> None:
    """Under the same id or another one; the same id with other text is refused."""
    async with engine_world(tmp_path / "flower.db") as world:
        face = await world.face("laptop")
        await told(face, "/lorebook new Harbour")
        await opened(face, "/lorebook edit harbour new")
        line = "/form save new entry 1"
        for _ in range(2):
            assert (await told(face, line, "r1", keys="bell", content="It rings.")).startswith(
                "✓ Entry 0"
            )
        assert "another prompt" in await told(face, line, "r1", keys="bell", content="It tolls.")
        book = await world.database.read(books.read, 1)
        assert [entry.content for entry in book.entries] == ["It rings."]
        shown = await opened(face, "/world edit harbour")
        for _ in range(2):
            said = await told(face, f"/form save {shown.base} world harbour", scene="Noon.")
            assert said.startswith("✓ Harbour is saved")


@pytest.mark.parametrize(
    ("line", "fields", "wrong"),
    [
        ("/form save x rules", {"name": "A\nB", "prompt": "P."}, {"name"}),
        ("/form save x rules", {"name": "A", "prompt": "P.", "priority": "200"}, {"priority"}),
        ("/form save x character", {"id": "../../etc", "name": "A", "persona": "P."}, {"id"}),
        ("/form save new character", {"id": "mara", "name": "A", "persona": "P."}, {"id"}),
        ("/form save x rules", {"colour": "red"}, set()),
        ("/form save x cheese 5", {"name": "A"}, set()),
        ("/form save x persona 77", {"name": "A"}, set()),
        ("/form save x lorebook 77", {"name": "A"}, set()),
        ("/form save x entry 77 1", {"content": "A"}, set()),
        ("/form save x world ../rules/slow", {"name": "A"}, set()),
        ("/form save", {"name": "A"}, set()),
    ],
)
async def test_what_cannot_be_saved_is_one_sentence(
    line: str, fields: dict[str, str], wrong: set[str], tmp_path: Path
) -> None:
    """It names the fields, and nothing is written anywhere."""
    async with engine_world(tmp_path / "flower.db") as world:
        face = await world.face()
        said = await told(face, line, **fields)
        error = face.of(ErrorEvent)[-1]
        assert error.content == said
        problems = error.metadata.problems
        assert set(problems if problems is not UNSET else {}) == wrong
        assert not (tmp_path / "assets").exists()


async def test_what_comes_with_flower_is_copied_not_changed(tmp_path: Path) -> None:
    """A deleted copy lets the shipped one be there again."""
    async with engine_world(tmp_path / "flower.db") as world:
        face = await world.face()
        runtime, shipped = world.engine.runtime, load_assets([SHIPPED])
        runtime.services = world.engine.imports.added_to(replace(runtime.services, assets=shipped))
        before = (
            shipped.worlds["orrinsay"],
            shipped.characters["nan-okoro"],
            shipped.rules["slow-burn"],
        )
        for kind, name in (("world", "orrinsay"), ("character", "nan-okoro"), ("rules", "slow-burn")):
            assert "changed" in await told(face, f"/{kind} edit {name} name Another")
            assert (await told(face, f"/{kind} delete {name}")).endswith("is back.")
            assert "stays" in await told(face, f"/{kind} delete {name}")
        now = world.engine.services.assets
        assert (now.worlds["orrinsay"], now.characters["nan-okoro"], now.rules["slow-burn"]) == before


async def test_a_persona_is_edited_where_it_is_played(tmp_path: Path) -> None:
    """Every story follows, but not one that has its own words for it; two of one name need titles."""
    async with engine_world(tmp_path / "flower.db") as world:
        face, other, own = [await world.playing() for _ in range(3)]
        await told(face, "/persona new Ines|A surveyor.")
        await told(face, "/persona use Ines")
        await told(other, "/persona use Ines")
        await told(own, "/persona Ines|A baker.")
        shown = await opened(face, "/persona edit ines")
        await told(face, f"/form save {shown.base} {shown.subject}", description="A smuggler.")
        for one, words in ((face, "smuggler"), (other, "smuggler"), (own, "baker")):
            assert words in await told(one, "/persona")
        assert "another title" in await told(face, "/persona new Ines|Somebody else.")
        assert (await told(face, "/persona copy Ines|Ines the Elder")).startswith("✓")
        assert "Ines the Elder" in await told(face, "/persona list")


async def test_a_lorebook_is_written_inside(tmp_path: Path) -> None:
    """Made, filled, changed, fired, copied, and taken apart again."""
    async with engine_world(tmp_path / "flower.db") as world:
        face = await world.playing()
        assert "holds in this story" in await told(face, "/lorebook new Harbour")
        await told(face, "/lorebook edit harbour new bell, tower|The bell rings by itself.")
        assert "bell" in await told(face, "/lore test I ring the bell.")
        shown = await opened(face, "/lorebook edit harbour 0")
        assert (field(shown, "keys"), field(shown, "logic")) == ("bell\ntower", "any")
        typed = {
            "comment": "The bell",
            "keys": "gong",
            "position": "at depth",
            "constant": "no",
            "order": "5",
        }
        assert (await told(face, f"/form save {shown.base} {shown.subject}", **typed)).startswith("✓")
        assert "nothing" in await told(face, "/lore test I ring the bell.")
        assert "The bell  (gong)" in await told(face, "/lorebook show Harbour gong")
        assert "changed" in await told(face, "/lorebook edit harbour The bell content It tolls.")
        await told(face, "/lorebook edit harbour scan_depth 6")
        await told(face, "/lorebook copy harbour|Harbour, later")
        await told(face, "/lorebook delete harbour the bell")
        book, later = [await world.database.read(books.read, number) for number in (1, 2)]
        assert (book.entries, book.scan_depth) == ((), 6)
        assert (later.entries[0].content, later.entries[0].order) == ("It tolls.", 5)
        await told(face, "/lorebook delete harbour, later")
        assert "Which lorebook" in await told(face, "/lorebook show Harbour, later")


async def test_a_worlds_lore_is_recalled_as_it_is_now(tmp_path: Path) -> None:
    """Without a restart."""
    async with engine_world(tmp_path / "flower.db") as world:
        face = await world.playing()
        await told(face, "/world edit harbour lore The lighthouse burns blue.")
        assert any("burns blue" in str(text) for text in vars(world.library).values())


# --- fields -------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["character", "world", "rules", "entry", "lorebook"])
def test_what_a_form_shows_is_what_it_saves(kind: str) -> None:
    """Every field, saved as it is shown, changes nothing."""
    thing = specs.empty(kind)
    fields = {"character": specs.CHARACTER, "world": specs.WORLD, "rules": specs.RULE,
              "entry": specs.ENTRY, "lorebook": specs.BOOK}[kind]  # fmt: skip
    now = specs.field_values(thing)
    texts = {spec.name: values.text_of(spec, now[spec.name]) for spec in fields}
    kept = {name: text for name, text in texts.items() if text}
    assert specs.changed(thing, values.read_all(fields, kept)) == thing
    empties = {
        spec.name: "" for spec in fields if not spec.needed and spec.kind not in ("flag", "choice")
    }
    assert isinstance(specs.changed(thing, values.read_all(fields, empties)), type(thing))


SAMPLES = (
    "",
    "Mara",
    "two\nlines",
    "x" * 200,
    "UPPER",
    "50",
    "-1",
    "101",
    "ten",
    "she",
    "yes",
    "a, b",
    "%",
    "0.5",
)


@pytest.mark.parametrize(
    "spec", [*specs.CHARACTER, *specs.RULE, *specs.ENTRY, *specs.BOOK], ids=lambda s: s.name
)
@pytest.mark.parametrize("text", SAMPLES)
def test_the_screen_checks_as_the_engine_does(spec: Spec, text: str) -> None:
    """What one takes the other takes."""
    shown = TypedField(
        spec.name, spec.called, spec.kind, text, "", "", spec.choices, spec.needed, spec.low, spec.high, spec.most
    )  # fmt: skip
    try:
        values.value_of(spec, text)
        refused = False
    except validators.WrongValueError:
        refused = True
    if text or spec.kind != "flag":
        assert bool(problem_of(shown)) == refused


def test_a_long_text_is_locked_and_a_form_is_bounded() -> None:
    """What a form cannot hold whole cannot be changed in it."""
    whole = "x" * limits.PROMPT_CHARS
    mara = Character("mara", "Mara", whole + "y", greeting=whole, scenario=whole, example_dialogue=whole,
                     system_prompt=whole, notes=whole, lore=whole, depth_prompt=None,
                     post_history_instructions=whole, alternate_greetings=("a\n%\nb",))  # fmt: skip
    shown = form_of(Subject("character mara", specs.CHARACTER[1:], mara), {})
    locked = {one.name for one in shown.fields if one.locked}
    assert {"persona", "alternate_greetings"} < locked
    assert sum(len(one.value) for one in shown.fields) <= FORM_SENT_BYTES


def test_wrong_fields_are_all_named() -> None:
    """At once."""
    with pytest.raises(FormError) as caught:
        values.read_all(specs.RULE, {"name": "", "priority": "x", "prompt": "P."})
    assert set(caught.value.problems) == {"name", "priority"}

"""Documentation and code cannot disagree: what exists is described, what is linked exists."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path
from typing import Any, get_args, get_type_hints

import click
import msgspec
import pytest

from flower.engine.commands import catalogue, lookup
from flower.engine.export.library_files import STORY_FORMATS
from flower.engine.export.render import FORMATS
from flower.engine.prompt import macro_values
from flower.home import Home
from flower.protocol import messages
from flower.settings import config
from flower.shell import command_line
from flower.tui.render import theme
from flower.tui.state import checklist
from flower.tui.state.bindings import ACTIONS
from tests.paths import ROOT
from tests.shell.test_cli import every_command
from tests.svg import playing, svg
from tests.tui_world import Face

PAGES = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]
PROTOCOL = (ROOT / "docs" / "protocol.md").read_text()
CONFIGURATION = (ROOT / "docs" / "configuration.md").read_text()
README = (ROOT / "README.md").read_text()


def structs(kind: object) -> set[type[msgspec.Struct]]:
    """Returns every struct type that appears in a type, however deep."""
    found: set[type[msgspec.Struct]] = set()
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        found.add(kind)
        for name, hint in get_type_hints(kind).items():
            if name in kind.__struct_fields__:
                found |= structs(hint)
    for part in get_args(kind):
        found |= structs(part)
    return found


def section(event: str) -> str:
    """Returns the part of the protocol page about an event."""
    found = re.search(rf"(?ms)^### `{event}`.*?(?=^##|\Z)", PROTOCOL)
    assert found, f"docs/protocol.md has no section for {event}"
    return found.group()


@pytest.mark.parametrize("kind", get_args(messages.Event), ids=lambda kind: kind.event)
def test_every_event_has_a_section_with_all_its_keys(kind: Any) -> None:
    text = section(kind.event)
    if kind.event == "system_update":
        text = section("sync_state")  # where the state keys are
    elif kind.event == "chat_reasoning":
        text = section("chat_chunk")
    keys = {
        key for struct in structs(get_type_hints(kind)["metadata"]) for key in struct.__struct_fields__
    }
    missing = {key for key in keys if f"`{key}`" not in text}
    assert not missing


def test_every_key_of_a_prompt_is_described() -> None:
    for key in messages.Prompt.__struct_fields__:
        assert f"| `{key}` |" in PROTOCOL


def test_every_option_and_command_is_in_the_readme() -> None:
    for words in every_command():
        command = command_line.commands
        for word in words:
            assert isinstance(command, click.Group)
            command = command.commands[word]
        assert f"`flower {' '.join(words)}" in README, words
        for option in command.params:
            assert not isinstance(option, click.Option) or f"`{option.opts[0]}" in README, option.opts


def test_every_setting_and_variable_is_described() -> None:
    flat = set(config.Config.__struct_fields__) - set(config.SECTIONS)
    words = {*flat, *config.ENVIRONMENT, *config.PROVIDER_KINDS}
    for struct in structs(config.Config):
        words |= set(struct.__struct_fields__) - set(config.Config.__struct_fields__)
    assert not {word for word in words if f"`{word}`" not in CONFIGURATION}
    for name in config.SECTIONS:
        assert f": `{name}`\n" in CONFIGURATION


def test_the_readme_names_every_key_of_a_service() -> None:
    for variable, key in config.ENVIRONMENT.items():
        assert f"`{variable}`" in README
        assert f"`{key}:" in README


def test_defaults_in_the_documentation_are_the_real_ones() -> None:
    rows = dict(re.findall(r"(?m)^\| `(\w+)` \| `?([^|`]+?)`? \|", CONFIGURATION))
    defaults = config.Config()
    checked = 0
    for name in config.SECTIONS:
        section_defaults = getattr(defaults, name)
        for field in section_defaults.__struct_fields__:
            value = getattr(section_defaults, field)
            if field in rows and value not in ("", None, {}):
                written = f"{value:g}" if isinstance(value, float) else json.dumps(value).strip('"')
                assert rows[field] == written, field
                checked += 1
    assert checked >= 10


def test_every_path_of_the_home_is_described(home: Home) -> None:
    text = (ROOT / "docs" / "install.md").read_text()
    for path in home.root.iterdir():
        assert f"| `{path.name}{'/' if path.is_dir() else ''}` |" in text


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
        if "://" not in target:
            assert (page.parent / target).exists(), target


def test_modules_named_in_the_architecture_exist() -> None:
    """A name is one in the folder of its line, or begins in ``flower/`` or in the engine's folder."""
    named = 0
    for line in (ROOT / "docs" / "architecture.md").read_text().splitlines():
        starts = ["", "flower", "flower/engine", *re.findall(r"^\| `(flower/[\w/]*)`", line)]
        for name in re.findall(r"`([\w/]+\.py)`", line):
            assert any((ROOT / start / name).exists() for start in starts), name
            named += 1
    assert named > 30


def test_every_command_has_an_example_that_is_one() -> None:
    for commands in catalogue.GROUPS.values():
        for command in commands:
            option, argument = lookup.parse(command.example or command.usage)
            assert option.name == command.name
            assert not re.search(r"\b[A-Z]{2,}\b", argument), "an example has no place to be filled in"


def test_every_format_of_an_export_is_named_where_people_look_for_it() -> None:
    usage = next(option.usage for option in catalogue.OPTIONS if option.name == "/export")
    option = next(
        option for option in command_line.commands.commands["export"].params if option.name == "form"
    )
    page = (ROOT / "docs" / "stories.md").read_text()
    for form in (*FORMATS, *STORY_FORMATS):
        assert re.search(rf"\b{form}\b", usage), form
        assert re.search(rf"\b{form}\b", option.help or ""), form
        assert f"| `{form}` |" in page or f"`/export {form}`" in page, form


def test_every_action_of_the_screen_has_a_key_in_the_table_of_keys() -> None:
    """Keys of one kind share a row: ``F2 F3``, ``Shift or Alt with Up, Down``."""
    table = (ROOT / "docs" / "using.md").read_text().partition("## Keys")[2].partition("\n## ")[0]
    words = set(
        re.findall(r"[\w+]+", table.lower().replace("pgup", "pageup").replace("pgdn", "pagedown"))
    )
    words |= {"escape" for word in words if word == "esc"}
    words |= {f"{held}+{arrow}" for held in ("shift", "alt") for arrow in ("up", "down")}
    for action in ACTIONS:
        assert any(words.issuperset(key.split()) for key in action.keys), action.name


def test_every_theme_and_every_role_of_one_is_on_the_page_of_the_terminal() -> None:
    themes = (ROOT / "docs" / "terminal.md").read_text().partition("\n## When it looks wrong")[0]
    for name in (*theme.THEMES, *theme.load_theme(theme.DEFAULT, utf8=True).roles()):
        assert f"`{name}`" in themes, name


def test_every_macro_is_on_its_page() -> None:
    page = (ROOT / "docs" / "macros.md").read_text().lower()
    words = set(re.findall(r"[\w/]+", page))
    for name in {*macro_values.PLAIN, *macro_values.ARGUMENTS} - set(macro_values.ELSEWHERE):
        assert name.replace("globalvar", "var") in words, name
    assert "`globalvar`" in page


def test_the_page_of_commands_is_the_catalogue() -> None:
    page = (ROOT / "docs" / "commands.md").read_text()
    expected = []
    for title, commands in catalogue.GROUPS.items():
        expected.append(f"## {title}")
        for command in commands:
            example = f"`{command.example}`" if command.example not in ("", command.usage) else ""
            cells = (f"`{command.usage}`", command.summary, example)
            expected.append("| {} | {} | {} |".format(*(cell.replace("|", r"\|") for cell in cells)))
    lines = [line for line in page.splitlines() if line.startswith(("## ", "| `/"))]
    missing = [line for line in expected if line not in lines]
    assert not missing, "these lines are missing in docs/commands.md:\n" + "\n".join(missing)
    assert lines == expected


def test_every_sentence_about_trust_names_a_test_that_exists() -> None:
    text = (ROOT / "docs" / "security.md").read_text()
    named = set(re.findall(r"`(tests/[\w/]+\.py)`", text))
    assert len(named) > 15
    assert not [name for name in named if not (ROOT / name).exists()]
    promises = text.split("## What is not promised")[0].split("\n- ")[1:]
    assert not [promise[:60] for promise in promises if "`tests/" not in promise]


def test_what_a_newcomer_adds_is_in_three_places_at_most_and_these_are_there() -> None:
    table = (ROOT / "CONTRIBUTING.md").read_text().partition("## Where ten changes go")[2]
    rows = [row for row in table.partition("\n## ")[0].splitlines() if row.startswith("| a")]
    assert len(rows) == 10
    for row in rows:
        paths = re.findall(r"`([\w/]+/[\w.]*)`", row)
        assert 1 <= len(paths) <= 3, row
        for path in paths:
            assert (ROOT / "flower" / path).exists(), path


def test_the_map_has_every_folder_and_no_other() -> None:
    folders = {f"{path.parent.relative_to(ROOT)}/" for path in (ROOT / "flower").rglob("__init__.py")}
    told = set(
        re.findall(
            r"^\| `(flower/[\w/]*)` \|", (ROOT / "docs" / "architecture.md").read_text(), re.MULTILINE
        )
    )
    assert folders == told


def test_the_docstring_of_a_folder_names_all_that_is_in_it() -> None:
    for package in (ROOT / "flower").rglob("__init__.py"):
        folder = package.parent
        words = set(re.findall(r"\w+", ast.get_docstring(ast.parse(package.read_text())) or ""))
        modules = {path.stem for path in folder.glob("*.py")} - {"__init__", "__main__"}
        folders = {path.parent.name for path in folder.glob("*/__init__.py")}
        assert not (modules | folders) - words, folder.relative_to(ROOT)


def test_the_pictures_of_the_readme_show_the_screen_of_today() -> None:
    """``python -m tests.svg docs/screenshot.svg`` and ``python -m tests.minute docs/minute.svg`` draw them anew."""
    assert (ROOT / "docs" / "screenshot.svg").read_text() == svg(playing().frame)
    moving = (ROOT / "docs" / "minute.svg").read_text()
    for step in checklist.steps(Face().online().model):
        assert step.title in moving

"""/help: all commands under headings, one with an example, a family, a group."""

from __future__ import annotations

import re

import pytest

from flower.engine.commands.catalogue import GROUPS, OPTIONS
from flower.engine.commands.lookup import ELSEWHERE, help_text, parse
from flower.errors import CommandError
from flower.protocol.messages import CommandOption


def test_every_command_stands_once_under_a_heading() -> None:
    text = help_text()
    assert all(f"\n{title}\n" in text for title in GROUPS)
    for option in OPTIONS:
        lines = [line for line in text.splitlines() if line.split("  ")[1:2] == [option.usage]]
        assert len(lines) == 1
        assert option.group in GROUPS
    assert len({option.name for option in OPTIONS}) == len(OPTIONS)


@pytest.mark.parametrize("option", OPTIONS, ids=lambda option: option.name)
def test_every_command_tells_its_usage_what_it_does_and_an_example(option: CommandOption) -> None:
    usage, does, *rest = help_text(option.name).splitlines()
    assert usage == option.usage
    assert does.lower() == f"{option.summary}.".lower()
    if "[" in usage or any(word.isupper() for word in usage.split()):
        assert rest[0].startswith(f"For example: {option.name}")


def test_a_family_a_group_and_a_beginning_are_found() -> None:
    clock = help_text("clock")
    assert "/clock\nList the clocks." in clock
    assert "  /clock tick NAME [N]" in clock
    assert help_text("Dice").startswith("Dice\n  /roll")
    assert help_text("all stories").startswith("All stories\n  /session new")
    assert help_text("/rol") == help_text("roll")
    assert "  /quest done NAME" in help_text("que")
    with pytest.raises(CommandError, match="no command /nothing"):
        help_text("nothing")


CLIENT_SIDE = {"/theme", "/quit"}  # of the TUI's own


@pytest.mark.parametrize("typed", ELSEWHERE)
def test_what_other_programs_call_it_leads_to_what_it_is_here(typed: str) -> None:
    """The name of another program is no command here, and the sentence names one that is."""
    with pytest.raises(CommandError, match="here it is") as refused:
        parse(f"{typed} anything")
    named = re.findall(r"/[a-z]+(?: [a-z]+)?", str(refused.value).partition(";")[2])
    known = {option.name for option in OPTIONS} | CLIENT_SIDE
    assert all(one in known or one.split()[0] in known for one in named), named

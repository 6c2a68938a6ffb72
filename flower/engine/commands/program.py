"""Commands about the program: settings read and changed, problems listed, everything read again, help, leaving."""

from __future__ import annotations

import difflib
import os
from functools import partial

import trio

from flower.engine.commands.lookup import help_text
from flower.engine.sessions.engine import Engine
from flower.engine.sessions.rights import OWNER, STRANGER, Program
from flower.engine.sessions.session import Client
from flower.errors import CommandError, ConfigError
from flower.home import change_setting
from flower.protocol.messages import SettingOption, State
from flower.settings import descriptions
from flower.settings.config import ENVIRONMENT
from flower.settings.descriptions import Setting

AS_IT_COMES = ("default", "-")  # instead of a value: take the setting out of the file
ABOUT_COLUMNS = 26  # of the names in the list


async def reload(engine: Engine, client: Client, argument: str) -> None:
    """Reads settings, worlds, characters and rules again."""
    await _program(engine).reload()


async def problems(engine: Engine, client: Client, argument: str) -> None:
    """Lists what of the user's files cannot be used."""
    every = engine.problems()
    if not every:
        client.notify("✓ Nothing is wrong with your files.", State(problems=()))
        return
    things = "1 thing" if len(every) == 1 else f"{len(every)} things"
    rows = "\n".join(f"  {one}" for one in every)
    client.notify(
        f"{things} to mend; a file is read again when you save it:\n{rows}",
        State(problems=every),
    )


async def settings(engine: Engine, client: Client, argument: str) -> None:
    """``/settings``, ``/settings NAME`` or ``/settings NAME VALUE``."""
    program = _program(engine)
    name, _, text = argument.partition(" ")
    if not name:
        options = tuple(_option(one, client) for one in descriptions.every(program.config))
        rows = "\n".join(_row(one) for one in descriptions.every(program.config))
        text = f"The settings in {program.home.config} (* changed); /settings NAME tells more:\n{rows}"
        client.notify(text, State(settings=options))
        return
    setting = _named(program, name.lower())
    if not text.strip():
        client.notify(_description(setting, client))
        return
    text = await _change(program, client, setting, text.strip())
    await program.reload()
    client.notify(text)  # last: a screen shows the newest line only


async def _change(program: Program, client: Client, setting: Setting, text: str) -> str:
    """Writes a setting; returns what to say of it. Raises ``CommandError``."""
    _check_may(client, setting, program)
    variable = next((v for v, key in ENVIRONMENT.items() if key == setting.name), "")
    if variable and os.environ.get(variable, "").strip():
        raise CommandError(
            f"{variable} is set in the engine's environment and wins over config.yaml; change it there."
        )
    try:
        value = (
            None if text.lower() in AS_IT_COMES else descriptions.value_of(setting.name, text)
        )  # "none" and "off" are values of some settings
        change = partial(change_setting, program.home, setting.name, value, os.environ)
        now = await trio.to_thread.run_sync(change)
    except ConfigError as error:
        raise CommandError(f"{error}. {setting.name} stays as it is.") from error
    changed = descriptions.named(now, setting.name)
    assert changed is not None
    value_text = changed.value or "as it comes"
    return f"✓ {setting.name} is {value_text}; {descriptions.in_effect(changed)}."


def _check_may(client: Client, setting: Setting, program: Program) -> None:
    if setting.secret:
        raise CommandError(
            f"{setting.name} is a secret, and what you type here is kept with your lines: write it into "
            f"{program.home.config}; it is read when you save the file."
        )
    if setting.by_hand:
        raise CommandError(
            f"{setting.name} is changed by hand, in {program.home.config}; it is read when you "
            "save the file."
        )
    if not _may(client, setting):
        who = (
            "the engine's own user on its machine" if client.rights != STRANGER else "who has the token"
        )
        raise CommandError(f"{setting.name} is changed by {who} only.")


def _may(client: Client, setting: Setting) -> bool:
    return client.rights == OWNER or (client.rights != STRANGER and not setting.owners)


def _option(setting: Setting, client: Client) -> SettingOption:
    return SettingOption(
        setting.name,
        setting.value,
        setting.default,
        setting.meaning,
        setting.allowed,
        setting.choices,
        setting.changed,
        setting.secret,
        setting.secret or setting.by_hand or not _may(client, setting),
    )


def _row(setting: Setting) -> str:
    mark = "*" if setting.changed else " "
    return f"{mark} {setting.name:<{ABOUT_COLUMNS}} {setting.value or '-'}"


def _description(setting: Setting, client: Client) -> str:
    parts = [f"{setting.name}: {setting.meaning}."]
    parts.append(f"It is {setting.value}." if setting.value else "It is not set.")
    if setting.default and setting.changed:
        parts.append(f"It comes as {setting.default}.")
    if setting.allowed:
        parts.append(f"It can be {setting.allowed}.")
    if setting.secret or setting.by_hand:
        parts.append("Change it in config.yaml.")
    elif _may(client, setting):
        parts.append(
            f"/settings {setting.name} VALUE changes it, default takes it back; "
            f"{descriptions.in_effect(setting)}."
        )
    return " ".join(parts)


def _named(program: Program, name: str) -> Setting:
    setting = descriptions.named(program.config, name)
    if setting is not None:
        return setting
    names = descriptions.names()
    same_end = [one for one in names if one.rpartition(".")[2] == name]
    if len(same_end) == 1:
        setting = descriptions.named(program.config, same_end[0])
        assert setting is not None
        return setting
    close = same_end or difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    hint = f"Did you mean {' or '.join(close)}?" if close else "/settings lists them all."
    raise CommandError(f"There is no setting {name!r}. {hint}")


def _program(engine: Engine) -> Program:
    if engine.program is None:
        raise CommandError("This engine has no settings of its own.")
    return engine.program


async def sync(engine: Engine, client: Client, argument: str) -> None:
    await engine.sync(client)


async def show_help(engine: Engine, client: Client, argument: str) -> None:
    client.notify(help_text(argument))


async def quit_(engine: Engine, client: Client, argument: str) -> None:
    client.on_leave()
    client.notify("Goodbye.")
    client.outbox.close()

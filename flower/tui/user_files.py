"""The user's files on the machine the screen runs on: settings, texts for ``$EDITOR``, imports and exports.

What reads the disk and the network; the screen's state only knows that it was asked for.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import trio

from flower import file_io, limits
from flower.errors import ConfigError, FlowerError, YamlError, printable_line
from flower.home import Home, load_config
from flower.protocol.messages import SettingOption
from flower.tui.render.theme import DEFAULT, NO_RECIPES, Recipe, load_theme
from flower.tui.speech import SpeechSettings
from flower.tui.state import bindings
from flower.tui.state.model import Configured, Edited, Model, Notice, Settings
from flower.tui.term.terminal import Terminal

THEME_FILES = 100
THEME_BYTES = 64 * limits.KIB  # forty roles fit in 4

# What people have when they set nothing: the system's choice, then the easiest first.
EDITORS = ("editor", "nano", "micro", "vim", "vi", "nvim", "emacs", "ed")
TELL_EVERY_S = 0.5
LISTED_MOST = 200  # paths offered for what was typed
DETAILS_SHOWN = 6  # of what went wrong, or is to be known


class EditorError(FlowerError):
    """``$EDITOR`` could not be used."""


class Preferences(NamedTuple):
    """Section ``tui`` of ``config.yaml`` and the user's themes as read; ``problems`` are sentences."""

    theme: str = "petal"
    text_width: int = limits.READING_COLUMNS
    keys: Mapping[str, str] = {}
    reduced_motion: bool = False
    mouse: bool = True
    tick_hz: float = 0.0
    bell: str = "off"
    styles: Mapping[str, str] = {}
    own_themes: Mapping[str, Recipe] = NO_RECIPES
    speech: SpeechSettings = SpeechSettings()
    problems: tuple[str, ...] = ()
    portraits: bool = False
    usable: bool = True  # False: ``config.yaml`` is wrong, and what was in use stays


def load_settings(home_dir: Path, advice: Callable[[], str] = str) -> Preferences:
    """Returns the user's settings; defaults with a problem where a file cannot be used.

    The sentence that ``advice`` gives, if any, is one of the problems.
    """
    own, problems = _own_themes(home_dir / "themes")
    problems += [sentence for sentence in (advice(),) if sentence]
    try:
        config = load_config(Home(home_dir), os.environ)
    except ConfigError as error:
        content = (*str(error).splitlines(), *problems)
        return Preferences(own_themes=own, problems=content, usable=False)
    tui, speech = config.tui, config.speech
    return Preferences(
        tui.theme,
        tui.text_width,
        tui.keys,
        tui.reduced_motion,
        tui.mouse,
        tui.tick_hz,
        tui.bell,
        tui.styles,
        own,
        SpeechSettings(speech.command, speech.voice, speech.voices, speech.what),
        tuple(problems),
        tui.portraits,
    )


def own_settings(home_dir: Path) -> tuple[SettingOption, ...]:
    """Returns the settings of the screen as this home has them; as they come where the file is wrong."""
    from flower.settings import descriptions
    from flower.settings.config import Config

    try:
        now = load_config(Home(home_dir), os.environ)
    except ConfigError:
        now = Config()
    return tuple(
        SettingOption(
            one.name, one.value, one.default, one.meaning, one.allowed, one.choices, one.changed
        )
        for one in descriptions.every(now)
        if one.name.startswith(descriptions.OWN)
    )


def change_setting(home_dir: Path, name: str, text: str) -> Notice:
    """Writes a setting of the screen into ``config.yaml``; returns what to say of it."""
    from flower.home import change_setting
    from flower.settings import descriptions

    if name not in descriptions.names():
        return Notice(f"There is no setting {name!r}; /settings lists them all.", "bad")
    try:
        value = None if text in ("default", "-") else descriptions.value_of(name, text)
        now = change_setting(Home(home_dir), name, value, os.environ)
    except ConfigError as error:
        first = str(error).splitlines()[0].rstrip(".")
        return Notice(f"{first}. {name} is not kept in config.yaml.", "bad")
    setting = descriptions.named(now, name)
    assert setting is not None
    return Notice(f"{name} is {setting.value or 'as it comes'} from now on.", "good")


def _own_themes(folder: Path) -> tuple[dict[str, Recipe], list[str]]:
    """Returns the themes in ``folder`` by name, and what is wrong with the others."""
    from flower.settings import safe_yaml

    own: dict[str, Recipe] = {}
    problems: list[str] = []
    for path in sorted(folder.glob("*.yaml"))[:THEME_FILES]:
        try:
            with file_io.opened(path) as file:
                content = safe_yaml.load(file.read(THEME_BYTES)).value
        except OSError as error:
            problems.append(f"cannot read {path} ({error.strerror or error})")
        except YamlError as error:
            problems.append(f"themes/{path.name}, {error}")
        else:
            if isinstance(content, dict) and all(isinstance(words, str) for words in content.values()):
                styles = {role: str(words) for role, words in content.items() if role != "like"}
                own[path.stem] = Recipe(str(content.get("like", DEFAULT)), styles)
            else:
                problems.append(
                    f"themes/{path.name}: write one `role: style` a line, and `like: THEME`."
                )
    return own, problems


def configured(preferences: Preferences, model: Model, terminal: Terminal) -> Configured:
    """Returns the input that puts the settings into use."""
    problems = list(preferences.problems)
    if not preferences.usable:
        return Configured(model.settings, model.theme, model.bindings, tuple(problems))
    caps = terminal.capabilities
    try:
        theme = load_theme(
            preferences.theme,
            preferences.styles,
            utf8=caps.utf8,
            console=terminal.console,
            own=preferences.own_themes,
        )
    except ConfigError as error:
        problems.append(str(error))
        theme = model.theme
    keys, conflicts = bindings.configured(preferences.keys)
    settings = Settings(
        theme.name,
        preferences.reduced_motion,
        preferences.bell,
        preferences.styles,
        preferences.own_themes,
        text_width=preferences.text_width,
    )
    return Configured(settings, theme, keys, (*problems, *conflicts))


# --- $EDITOR ------------------------------------------------------------------------------------


async def edit(
    text: str, folder: Path, environ: Mapping[str, str], keep: Callable[[Edited], None]
) -> Edited:
    """Returns ``text`` as the user's ``$VISUAL`` or ``$EDITOR`` left it.

    The terminal must be free. Raises ``EditorError`` when there is no editor or it failed. When it is cancelled,
    because the terminal goes away, ``keep`` gets what was saved so far. The file stays where it holds more than is
    returned.
    """
    command = editor_of(environ)
    path = _scratch(text, folder)
    stays = ended = False
    try:
        # The editor gets the whole terminal, and with it Ctrl-C and Ctrl-Z.
        process = await trio.run_process([*shlex.split(command), str(path)], stdin=None, check=False)
        ended = True
        edited = _read(path)
        if process.returncode == 0:
            stays = bool(edited.path)
            return edited
        stays = edited.text != text.rstrip("\n")
        left = f"what was saved is in {path}" if stays else "the line is as before"
        raise EditorError(f"'{command}' ended with code {process.returncode}; {left}.")
    except (OSError, ValueError) as error:
        ended = True
        raise EditorError(f"'{command}' cannot be started; set EDITOR to your editor.") from error
    finally:
        if not ended:
            edited = _read(path)
            stays = bool(edited.path)
            keep(edited)
        if not stays:
            _remove(path)


def editor_of(environ: Mapping[str, str]) -> str:
    """Returns the command of the user's editor; of the usual ones the first that is installed.

    Raises ``EditorError`` when there is none.
    """
    chosen = environ.get("VISUAL", "").strip() or environ.get("EDITOR", "").strip()
    if chosen:
        return chosen
    for name in EDITORS:
        if shutil.which(name, path=environ.get("PATH")):
            return name
    raise EditorError("No editor was found; install nano, or set EDITOR to the editor you use.")


def _scratch(text: str, folder: Path) -> Path:
    descriptor, name = tempfile.mkstemp(".md", "prompt-", folder if folder.is_dir() else None)
    with os.fdopen(descriptor, "w", encoding="utf-8", errors="replace") as file:
        file.write(text)
    return Path(name)


def _read(path: Path) -> Edited:
    with open(path, encoding="utf-8", errors="replace", opener=file_io.opener) as file:
        text = file.read(limits.PASTE_BYTES + 1)
    if len(text) > limits.PASTE_BYTES:
        return Edited(text[: limits.PASTE_BYTES], str(path))
    return Edited(text.rstrip("\n"))


def _remove(path: Path) -> None:
    # The editor may have moved it away; then there is nothing to clean up.
    with contextlib.suppress(OSError):
        path.unlink()


# --- ``/import PATH`` and ``/fetch NAME`` -----------------------------------------------------------


def paths_at(typed: str) -> tuple[str, ...]:
    """Returns what on the disk begins with ``typed``, written the way it was begun; nothing hidden."""
    folder, slash, begun = typed.rpartition("/")
    place = Path(f"{folder}{slash}" or ".").expanduser()
    paths: list[str] = []
    try:
        with os.scandir(place) as entries:
            for entry in entries:
                if not entry.name.startswith(begun) or (entry.name[:1] == "." and not begun):
                    continue
                if entry.name.isprintable():
                    paths.append(f"{folder}{slash}{entry.name}{'/' if entry.is_dir() else ''}")
                if len(paths) > 10 * LISTED_MOST:
                    break
    except OSError:
        return ()
    return tuple(sorted(paths)[:LISTED_MOST])


async def bring(
    typed: str, engine_url: Callable[[], str], token: str | None, notify: Callable[[str, str], None]
) -> None:
    """Imports what is at the paths in ``typed``; ``notify`` gets sentences and what kind of news they are."""
    from flower.client.import_upload import UploadSummary, Wishes, files_in, send  # needed by few

    try:
        paths, me = _parsed(typed)
        files = await trio.to_thread.run_sync(files_in, paths)
        summary = UploadSummary()
        notified_at = trio.current_time()
        async for sent in send(files, engine_url, token, Wishes(me)):
            summary.add(sent)
            if trio.current_time() >= notified_at + TELL_EVERY_S and sent.done < sent.total:
                notified_at = trio.current_time()
                notify(f"Importing {sent.done} of {sent.total}: {printable_line(sent.path.name)}", "")
    except FlowerError as error:
        notify(f"✗ {error}", "bad")
        return
    details = (summary.problems + summary.items + summary.notices)[:DETAILS_SHOWN]
    mark, kind = ("✗", "bad") if summary.problems else ("✓", "good")
    notify("\n".join([f"{mark} {summary.sentence}", *details]), kind)


async def fetch(
    name: str, engine_url: Callable[[], str], token: str | None, notify: Callable[[str, str], None]
) -> None:
    """Brings an export of that name into the folder this program runs in; ``notify`` as in ``bring``."""
    from flower.client import export_fetch  # needed by few

    try:
        path = export_fetch.place_of(name, "-").absolute()
        await export_fetch.fetch(name, path, engine_url, token)
    except FlowerError as error:
        notify(f"✗ {error}", "bad")
        return
    notify(f"✓ Written: {printable_line(str(path))}", "good")


def _parsed(typed: str) -> tuple[list[Path], str]:
    """Returns paths and the player's name in ``[--me NAME] PATH…``; a path with spaces needs no quotes."""
    text = typed.strip()
    me = ""
    if text.startswith("--me "):
        words = _split(text)
        me, rest = (words[1], words[2:]) if len(words) > 2 else ("", [])
        return [Path(word).expanduser() for word in rest], me
    whole = Path(text).expanduser()
    if whole.exists():
        return [whole], me
    paths = [Path(word).expanduser() for word in _split(text)]
    return (paths if any(path.exists() for path in paths) else [whole]), me


def _split(text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError as error:  # a quotation mark that is never closed
        raise FlowerError(f"{text}: {error}".lower()) from error

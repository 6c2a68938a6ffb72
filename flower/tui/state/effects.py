"""What the client's app is to do after something has happened: values, which ``app`` carries out. Pure."""

from __future__ import annotations

from typing import NamedTuple

from flower.client.events import Send


class Quit(NamedTuple):
    """Leave: tell the engine, restore the terminal, end."""


class Bell(NamedTuple):
    """Ring, because something ended while the user looked elsewhere."""


class SetTitle(NamedTuple):
    """Say something in the window's title."""

    text: str


class Copy(NamedTuple):
    """Put text on the user's clipboard."""

    text: str


class ListPaths(NamedTuple):
    """Look on the disk for what begins with ``typed``; ``PathsListed`` answers."""

    typed: str


class ImportFiles(NamedTuple):
    """Send what is at a path, as typed, to the engine, which imports it."""

    typed: str


class FetchExport(NamedTuple):
    """Bring a file of this name, which ``/export`` wrote where the engine is, into the folder we run in."""

    name: str


class ListSettings(NamedTuple):
    """Look up the screen's own settings; ``SettingsListed`` answers."""


class ChangeSetting(NamedTuple):
    """Write one of the screen's own settings, as typed, into its ``config.yaml``, and use it."""

    name: str
    value: str


class ReadSettings(NamedTuple):
    """Read the screen's own settings again: files have changed."""


class Suspend(NamedTuple):
    """Stop the process as Ctrl-Z does."""


class OpenEditor(NamedTuple):
    """Edit ``text`` in the user's ``$EDITOR``."""

    text: str


class Repaint(NamedTuple):
    """Draw every cell again: something else wrote on the screen."""


Effect = (
    Send
    | Quit
    | Bell
    | SetTitle
    | Copy
    | ListPaths
    | ImportFiles
    | FetchExport
    | ListSettings
    | ChangeSetting
    | ReadSettings
    | Suspend
    | OpenEditor
    | Repaint
)

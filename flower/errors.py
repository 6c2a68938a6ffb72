"""The error family. Pure.

Every error that can reach a person is a ``FlowerError`` whose text is one clear sentence: what is
wrong and what to do about it. Foreign exceptions are translated once, at the edge where they appear,
with ``raise ... from``.
"""

from __future__ import annotations

from collections.abc import Mapping


def printable(text: object) -> str:
    """Returns a text of anybody's without anything that a terminal would obey; newlines stay.

    Names of files, tags of YAML, words of providers and exceptions pass through here on their way to a terminal,
    a log or a list; what a story's text needs beyond that is the screens' own.
    """
    plain = str(text)
    if plain.isprintable():
        return plain
    return "".join(char if char.isprintable() or char == "\n" else "\ufffd" for char in plain)


def printable_line(text: object) -> str:
    """Returns ``printable`` text as one line: nothing in it can look like a line of ours."""
    return printable(text).replace("\n", "\ufffd")


class FlowerError(Exception):
    """Base of everything Flower raises on purpose; ``str(error)`` may be shown to the user.

    ``exit_code`` is how a command ends with it, after ``sysexits.h`` where that has a fitting one, so that
    a supervisor can tell what another try may mend from what it cannot.
    """

    exit_code = 1


class UsageError(FlowerError):
    """A command line that cannot be understood; ``command`` is the one whose ``--help`` says what can."""

    exit_code = 2

    def __init__(self, sentence: str, command: str = "flower") -> None:
        super().__init__(sentence)
        self.command = command


class ConfigError(FlowerError):
    """``config.yaml`` or the environment holds something that cannot be used; names the key."""

    exit_code = 78  # EX_CONFIG: only a person can mend it


class YamlError(FlowerError):
    """A YAML text that is broken, too big or uses what we refuse; ``line`` counts from 1."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(f"line {line}: {message}")
        self.line = line
        self.message = message


class ProtocolError(FlowerError):
    """A frame that is no message of the protocol."""


class AssetError(FlowerError):
    """A world, character or rule file that cannot be used; names file and line."""


class ImportFileError(FlowerError):
    """A file from another program that cannot be read; nothing of it was taken over."""


class UnknownPlayerError(ImportFileError):
    """A chat in which nobody can know who is the player; ``speakers`` are the names to choose from."""

    def __init__(self, speakers: tuple[str, ...]) -> None:
        names = ", ".join(speakers)
        super().__init__(f"this chat does not say which speaker you are; name one of: {names}")
        self.speakers = speakers


class CommandError(FlowerError):
    """A slash command that cannot be carried out as typed."""


class FormError(CommandError):
    """What was typed into a form cannot be saved. ``problems`` says what is wrong, by field."""

    def __init__(self, message: str, problems: Mapping[str, str]) -> None:
        super().__init__(message)
        self.problems = problems


class StoreError(FlowerError):
    """The database refused; nothing was changed."""


class ElsewhereError(StoreError):
    """Another engine plays this story. ``address`` is where it listens, "" if that is not known.

    ``unanswered``: the prompt that led to it has not been carried out.
    """

    def __init__(self, text: str, address: str = "") -> None:
        super().__init__(text)
        self.address = address
        self.unanswered = False


class EmbedError(FlowerError):
    """The embedding model is missing, damaged or cannot run here."""


class LaunchError(FlowerError):
    """An engine could not be started or joined."""

    exit_code = 69  # EX_UNAVAILABLE: a port, a socket or the home is taken; may be free later


class PlaceError(LaunchError):
    """The settings name a place to listen at that cannot be used, such as a broken certificate."""

    exit_code = ConfigError.exit_code


class EngineStarting(LaunchError):  # noqa: N818 - a state of the engine, no fault
    """The engine is on its way up and has no address yet; ask again in ``LAUNCH_POLL_S``."""


class TerminalError(FlowerError):
    """There is no terminal, or it cannot be drawn on."""


class ProviderError(FlowerError):
    """A narrator failed.

    ``kind`` is one of the classes below, so that retry rules, metrics and the sentence shown to the
    user need not look into texts:

    ``auth`` ``payment`` ``rate_limit`` ``overloaded`` ``network`` ``timeout_first_byte``
    ``timeout_idle`` ``context_exceeded`` ``blocked`` ``bad_request`` ``model_not_found`` ``loading``
    ``interrupted`` ``malformed_stream`` ``server``
    """

    def __init__(
        self,
        kind: str,
        message: str,
        *,
        retry_after_s: float | None = None,
        limit_tokens: int | None = None,
        used_tokens: int | None = None,
        field: str | None = None,
    ) -> None:
        super().__init__(message)
        self.kind = kind
        self.retry_after_s = retry_after_s
        self.limit_tokens = limit_tokens
        self.used_tokens = used_tokens
        self.field = field


def only(error: BaseException) -> BaseException:
    """Returns the one exception in a group of one, however deep; else the error itself."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error

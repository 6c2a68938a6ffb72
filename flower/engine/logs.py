"""The engine's log: key=value lines on standard error, with secrets masked.

A managed engine's standard error is ``logs/engine.log``, set aside when it grows too long: at a start, and
here while the engine runs, so that nobody who knocks often enough can fill a disk. No story text is
logged above debug level.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

from flower import limits
from flower.errors import printable, printable_line
from flower.home import Home
from flower.service import systemd
from flower.settings.config import Config

FORMAT = "%(asctime)s %(levelname)s %(name)s %(message)s"
JOURNAL_FORMAT = "%(name)s %(message)s"  # the journal has time and priority of its own
LEVEL_VARIABLE = "FLOWER_LOG"  # debug shows recalled lore and memories, for people who tune a world
MASK = "••••"
MIN_SECRET_CHARS = 6  # shorter ones would mask ordinary words


class RedactingFormatter(logging.Formatter):
    """Formats a record and then hides every known secret in the whole text, tracebacks included."""

    def __init__(self, secrets: Sequence[str], *, journal: bool = False) -> None:
        super().__init__(JOURNAL_FORMAT if journal else FORMAT)
        self._journal = journal
        self._secrets = sorted(
            (s for s in secrets if len(s) >= MIN_SECRET_CHARS), key=len, reverse=True
        )

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the library's name
        """Returns one line: what somebody else wrote cannot begin one that looks like ours."""
        return printable_line(super().formatMessage(record))

    def format(self, record: logging.LogRecord) -> str:
        text = printable(super().format(record))
        for secret in self._secrets:
            text = text.replace(secret, MASK)
        return systemd.prioritized(text, priority(record.levelno)) if self._journal else text


def priority(level: int) -> int:
    """Returns the priority in ``syslog.h`` of a level of ``logging``, 7 for the least."""
    steps = ((logging.CRITICAL, 2), (logging.ERROR, 3), (logging.WARNING, 4), (logging.INFO, 6))
    return next((number for least, number in steps if level >= least), 7)


class BoundedHandler(logging.StreamHandler[TextIO]):
    """Writes to standard error, and begins ``log`` anew when that is where it goes and it is too long."""

    def __init__(self, log: Path) -> None:
        super().__init__(sys.stderr)
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        super().emit(record)
        try:
            status = os.fstat(self.stream.fileno())
            if status.st_size > limits.ENGINE_LOG_BYTES and os.path.samestat(status, self._log.stat()):
                self._begin_anew()
        except (OSError, ValueError):
            return  # no file, or no room for another: what was said has been written

    def _begin_anew(self) -> None:
        self._log.replace(self._log.with_name("engine.log.1"))
        new = os.open(self._log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        for descriptor in (1, 2):
            os.dup2(new, descriptor)
        os.close(new)


def configure_logging(config: Config, home: Home) -> None:
    """Sends all logs of this process to standard error."""
    handler = BoundedHandler(home.logs / "engine.log")
    journal = systemd.is_journal(2, os.environ)
    handler.setFormatter(RedactingFormatter(known_secrets(config), journal=journal))
    level = os.environ.get(LEVEL_VARIABLE, "info").upper()
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.INFO)
    logging.getLogger("flower").setLevel(level if level in ("DEBUG", "WARNING", "ERROR") else "INFO")
    # httpx logs full URLs, and some providers take keys in them.
    for noisy in ("httpx", "httpcore", "quart", "watchfiles"):
        logging.getLogger(noisy).setLevel(logging.WARNING)


def known_secrets(config: Config) -> list[str]:
    """Returns the keys and tokens of the configuration in clear."""
    flat = (
        config.openai_api_key,
        config.deepseek_api_key,
        config.groq_api_key,
        config.gemini_api_key,
        config.openrouter_api_key,
        config.anthropic_api_key,
        config.mistral_api_key,
        config.engine.token,
    )
    own = [provider.api_key for provider in config.providers]
    headers = [value for provider in config.providers for value in provider.headers.values()]
    return [str(secret) for secret in (*flat, *own, *headers) if secret]

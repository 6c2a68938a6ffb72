"""The engine's log: key=value lines on standard error, with secrets masked.

A managed engine's standard error is ``logs/engine.log``. No story text is logged above debug level.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Sequence

from flower.config import Config

FORMAT = "%(asctime)s %(levelname)s %(name)s %(message)s"
LEVEL_VARIABLE = "FLOWER_LOG"  # debug shows recalled lore and memories, for people who tune a world
MASK = "••••"
MIN_SECRET_CHARS = 6  # shorter ones would mask ordinary words


class RedactingFormatter(logging.Formatter):
    """Formats a record and then hides every known secret in the whole text, tracebacks included."""

    def __init__(self, secrets: Sequence[str]) -> None:
        super().__init__(FORMAT)
        self._secrets = sorted(
            (s for s in secrets if len(s) >= MIN_SECRET_CHARS), key=len, reverse=True
        )

    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record)
        for secret in self._secrets:
            text = text.replace(secret, MASK)
        return text


def configure_logging(config: Config) -> None:
    """Sends all logs of this process to standard error."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(RedactingFormatter(known_secrets(config)))
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

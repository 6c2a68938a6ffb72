"""How many tokens a text is, guessed well. Pure.

Engines of different models cut text differently, and few let us ask. The guess is characters per
token by script, scaled per model by what the provider reports it really read.

Ratios: 3.35 characters per token for Latin scripts is what SillyTavern falls back to; 1.5 for CJK is
the middle of what GPT, Llama and Qwen tokenizers give on Chinese and Japanese prose.
"""

from __future__ import annotations

import re

from msgspec import Struct

LATIN_CHARS_PER_TOKEN = 3.35
CJK_CHARS_PER_TOKEN = 1.5
MOST_SCALE = 2.5
LEAST_SCALE = 0.75  # 4.5 characters per token: the best that tokenizers do on English prose
LEAST_EXACT_SCALE = 0.4  # where a tokenizer counts for us: tables of spaces, one word again and again
LEAST_FALL = 0.85  # of one model's ratio from prompt to prompt; less of it is a cached prefix
MESSAGE_TOKENS = 4  # role marks and separators around each message of a chat template

_CJK = re.compile(
    "[\u1100-\u11ff\u2e80-\u9fff\uac00-\ud7af\uf900-\ufaff\uff00-\uffef\U00020000-\U0003ffff]"
)


class TokenCounter(Struct, frozen=True):
    """Estimates token counts for one model.

    ``scale``: real tokens per estimated token; ``checked``: a real count has been seen.
    """

    scale: float = 1.0
    checked: bool = False

    def count(self, text: str) -> int:
        """Returns the estimated tokens of ``text``; 0 only for the empty text."""
        if not text:
            return 0
        cjk = 0 if text.isascii() else len(_CJK.findall(text))
        estimate = (len(text) - cjk) / LATIN_CHARS_PER_TOKEN + cjk / CJK_CHARS_PER_TOKEN
        return max(1, round(estimate * self.scale))

    def calibrated(self, estimated: int, actual: int, *, exact: bool = False) -> TokenCounter:
        """Returns a counter moved towards what a provider reported for a prompt we had estimated.

        Upwards at once, for a prompt that is too long is refused or silently cut; downwards slowly, and
        never below what text can be: some servers leave out of a prompt's tokens what they had cached, and
        their reports would make us send far too much. ``exact``: counted for us, not reported.
        """
        if estimated < 50 or actual < 50:
            return self
        seen = self.scale * actual / estimated
        if seen > MOST_SCALE and not exact:
            # More than any text we know of: a mistake, as one report must not shrink every later prompt.
            # Before any other it is believed up to the bound, and until the next.
            return self if self.checked else TokenCounter(MOST_SCALE)
        seen = min(MOST_SCALE, seen)
        if exact:
            return TokenCounter(max(LEAST_EXACT_SCALE, seen), checked=True)
        if seen < LEAST_SCALE or (self.checked and seen < self.scale * LEAST_FALL):
            return self  # part of it was not counted
        if not self.checked or seen > self.scale:
            return TokenCounter(seen, checked=True)
        return TokenCounter(0.6 * self.scale + 0.4 * seen, checked=True)

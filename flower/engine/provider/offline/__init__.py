"""A narrator without an AI model: rules, tables, dice, and the world's own lore.

    narrator   the provider: pace and seed (I/O)
    reading    what kind of line the player wrote      lore      facts in recalled passages
    stage      what is at hand for this reply          names     who and what they are about
    people     who is spoken to                        memory    the sentence of the past that fits
    compose    acts and their outcomes                 talk      dialogue
    threads    complications, pacing, the last line    voice     who speaks, and how
    oracle     dice, yes and no                        restate   a question as its answer
    picker     phrases without repetition              grammar   persons, agreement, tidy prose
    tables/    the phrases

Everything but ``narrator`` is pure.
"""

from flower.engine.provider.offline.narrator import OfflineNarrator

__all__ = ["OfflineNarrator"]

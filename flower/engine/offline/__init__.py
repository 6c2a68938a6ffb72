"""A narrator without an AI model: rules, phrase tables, dice, and the world's own lore.

    provider   the provider: pace and seed (I/O)
    parse      what kind of line the player wrote      facts      facts in recalled passages
    context    what is at hand for this reply          names      who and what they are about
    people     who is spoken to                        recall     the sentence of the past that fits
    compose    acts and their outcomes                 dialogue   conversations
    events     complications, pacing, the last line    voice      who speaks, and how
    oracle     dice, yes and no                        restate    a question as its answer
    templates  phrases without repetition              grammar    persons, agreement, tidy prose
    tables/    the phrases

Everything but ``provider`` is pure.
"""

from flower.engine.offline.provider import OfflineNarrator

__all__ = ["OfflineNarrator"]

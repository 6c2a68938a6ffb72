"""What the model reads: what is gathered for a reply, and as much of it as fits.

In order: ``turn_input``; the first step of a turn, ``context``, with ``bookshelf`` and ``books_at_hand``
(lorebooks), ``direction`` and ``scripted``; the third, ``request``, with ``model``, ``lore_entries``, ``sections``
for the words and ``assemble`` for the budget; then ``record`` (what of it is stored, and what ``/why`` lists) and
``sent``. Macros are in ``macros``, with ``macro_parts``, ``macro_values`` and ``macro_variables``. ``summary`` is
of the older story, ``plain_text`` for base models, ``cue`` for the offline narrator.
"""

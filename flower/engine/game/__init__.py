"""The game layer: dice, checks, the state sheet, people, clocks and steering. Pure.

In order: ``state`` with ``sheet``, ``people`` and ``clocks``, ``proposals`` (changes that a model writes at the end of
a reply), ``dice`` and ``checks``, ``steering``.

Every module here turns values into values: no clock, no database, no randomness of its own. What the
story depends on is one ``state.StoryState`` per message; ``store.states`` keeps it,
``prompt.sections`` puts it into prompts, the commands change it.
"""

"""Stories in memory: from a line that a client sent to a saved reply, and what follows upon it.

In order: ``engine``, ``open_stories`` and the ``session`` of each, with an ``outbox`` for every client; ``turns``
and one ``turn`` with ``model_choice``, ``reply_watch``, ``joint`` and ``turn_outcome``. After it: ``after_turn``
(state and memories), ``summaries``, ``preparing``, ``recap``. Who may what: ``rights``, ``tables``, ``allowances``.
Changes: ``create``, ``edits``, ``asset_edits``, ``own_libraries``, ``imports``. Beside stories: ``side_work``,
``drafts``, ``suggestions``, ``fetches``, ``departures``. ``snapshot`` describes all this to clients, ``runtime`` is
what it works with, ``metrics`` counts.
"""

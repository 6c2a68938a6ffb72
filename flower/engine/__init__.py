"""The engine: stories, models, recall and the database, behind one WebSocket.

In order: ``main`` opens and closes everything, ``reconfigure`` makes it from the settings. A message goes from
``server`` to ``commands`` and ``sessions``, a reply is made with ``prompt`` and ``provider`` or ``offline``, with
``recall``, ``lorebook``, ``game`` and ``scripts`` beside them, and ``store`` keeps it. ``assets`` and ``forms`` are
what is played with; ``interchange``, ``importing`` and ``export`` are files in and out; ``admin`` looks after the
home. Small things for many: ``logs`` (keys are masked there), ``tasks``, ``token_counter``, ``folder_events``.
"""

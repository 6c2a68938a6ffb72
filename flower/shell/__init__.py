"""What the ``flower`` command does: its words and options, and from there to a process that runs or is asked.

In order: ``command_line`` (all of it, by click), with ``home_commands``, ``library_commands`` (``flower lore`` too)
and ``service_commands``, made of ``options``; ``processes`` (from there to an engine or a screen),
``engine_control`` (status, stop), ``reload``, ``plain_letters``.
"""

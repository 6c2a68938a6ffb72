"""What looks after a home: from a shell, and by the engine itself from time to time.

``maintenance`` is the engine's part, ``backup`` the copies. The commands: ``home_cli`` (backup, restore, check,
token, models), ``users_cli``, ``export_cli``, ``doctor`` with ``board``, ``transfer`` (``flower migrate``);
``migrate`` is for updates alone.
"""

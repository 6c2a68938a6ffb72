"""What ``start.sh`` does when something is to be set up: an environment of packages beside the program.

Run by whatever Python the system has, before any package is there: the standard library only. Owns ``.venv`` and
the folder of wheels it was given; never touches a home, but for ``update``. ``python -m flower.installer``.

In order: ``setup`` (the steps), ``pip``, ``slim`` (what playing never needs is taken out), ``hnswlib``,
``failures`` (why, in one sentence); ``update`` is ``./start.sh update``.
"""

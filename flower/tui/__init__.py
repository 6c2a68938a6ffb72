"""The client: one terminal screen, drawn from a copy of what the engine says.

In order: ``boot`` (the first frame), ``app`` (the nursery), ``drawing`` (when a frame is drawn). ``state`` is all
it knows, ``view`` makes a frame of that, of what ``render`` makes of text, and ``term`` is the terminal. ``plain``
is the line mode, with ``reading``; ``speech`` reads aloud; ``user_files`` are those on this machine.
"""

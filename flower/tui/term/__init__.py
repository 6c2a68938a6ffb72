"""The terminal: keys in, bytes out, and what it can do.

In order: ``terminal`` takes it and gives it back, ``tty`` reads and writes it. In: ``keys`` cuts bytes into the
``inputs``, whose names ``blessed_terminal`` knows. Out: ``diff`` compares two frames, ``rows`` two rows, ``pen``
writes; ``pictures`` lays one over the cells. ``capabilities`` are what this terminal can do.
"""

"""Lorebooks: texts that enter a prompt when their keys are met in the story. Pure.

Owns what a book and an entry are (``book``), books made ready (``rules``, with their ``decorators`` and the
``index`` of their keys), the moment that is scanned and effects that last, such as sticky entries (``situation``),
which entries fire (``scan``, with ``judge``, ``groups`` and ``matching``, which reads patterns as ``javascript``
does) and what is said about it (``outcome``). Never reads a clock, a file or chance: messages, counts, dice and the
size of texts are arguments. Files are read and written elsewhere.
"""

"""Models from GGUF files, run by a llama.cpp of our own.

In order: ``provider``, the ``process`` it starts, the ``child`` in there. ``files`` are those that lie here, with
``gguf`` (what a head says) and ``sizes`` (what fits the machine); ``fetch`` brings more.
"""

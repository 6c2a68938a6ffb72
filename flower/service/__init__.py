"""Flower as a service of systemd. Never imports the engine or the TUI.

``unit`` has the text of the units, ``manage`` puts them in place, ``systemd`` is what a running process says and
hears.
"""

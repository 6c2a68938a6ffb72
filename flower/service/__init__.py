"""Flower as a service of systemd: its units, and putting them in place. Never imports the engine or the TUI."""

"""The Face: one terminal screen, drawn from a replica of the engine's state."""

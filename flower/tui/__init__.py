"""The Client: one terminal screen, drawn from a replica of the engine's state."""

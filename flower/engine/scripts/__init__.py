"""Scripts that cards and players bring to change texts: find a pattern, put something else. Pure."""

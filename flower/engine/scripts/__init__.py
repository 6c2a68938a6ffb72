"""Scripts that cards and players bring to change texts: find a pattern, put something else. Pure.

``script`` says what one is, ``apply`` carries them out.
"""

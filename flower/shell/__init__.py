"""What the ``flower`` command does: its words and options, and from there to a process that runs or is asked."""

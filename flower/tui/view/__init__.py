"""The state as a frame of cells. Pure: everything in here."""

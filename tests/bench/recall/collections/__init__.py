"""Collections of the recall benchmark: what is stored, what is asked, what answers it."""

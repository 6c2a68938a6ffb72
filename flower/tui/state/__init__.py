"""The client's only state and the only place that changes it. Pure: everything in here."""

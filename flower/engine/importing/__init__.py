"""Bringing files of other programs into a home: read, stored, linked to each other, reported."""

"""The phrases of the offline narrator. Data only: no code, no choices."""

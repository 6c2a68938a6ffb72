"""Text from people made into checked values: YAML, validators, the settings. Pure: everything in here."""

"""Text from people made into checked values: YAML, validators, the settings. Pure: everything in here.

In order: ``config`` (every setting), ``descriptions`` (what each means), ``validators``, ``safe_yaml``, ``edit``
(one setting changed in the text), ``samplers`` (settings of stories and models).
"""

"""What ``start.sh`` does when something is to be set up: an environment of packages beside the program.

Run by whatever Python the system has, before any package is there: the standard library only. Owns
``.venv`` and the folder of wheels it was given; never touches a home. ``python -m flower.installer``.
"""

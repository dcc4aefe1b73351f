"""Known bugs, each beside its remedy: what the simulator must find, and what it must leave alone.

``python -m tests.planted`` prints the table: how many schedules each takes, and how small it is told.
"""

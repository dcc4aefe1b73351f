"""Known bugs, each beside its remedy: what the simulator must find, and what it must leave alone."""

"""The network in memory, in virtual time."""

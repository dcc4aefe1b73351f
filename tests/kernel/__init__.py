"""The kernel's own laws: properties of its pure files, and of actors in virtual time."""

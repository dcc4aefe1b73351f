"""The kernel's promises, held under schedules and faults that somebody chose: see ``law.py``."""

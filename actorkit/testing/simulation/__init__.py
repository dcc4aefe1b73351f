"""Runs a test under many schedules, each of them chosen, none of them by chance."""

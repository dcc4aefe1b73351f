"""The tools for testing actors, tested."""

"""Messages as bytes: laws of round trips, limits that hold, bytes that never change."""

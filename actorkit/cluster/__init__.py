"""How a letter crosses: nodes over TCP."""

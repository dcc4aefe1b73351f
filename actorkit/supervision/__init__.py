"""Who restarts whom: specifications and plans that are pure, and the actors that carry them out."""

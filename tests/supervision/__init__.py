"""Who restarts whom: the pure plan, the actors that carry it out, and what survives a restart."""

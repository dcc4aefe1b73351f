"""The systems actorkit is measured beside; each module that ends in _peer is a process of its own."""

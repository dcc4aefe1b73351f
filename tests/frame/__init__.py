"""What holds for the whole tree: layers, the front door, documentation, examples."""

"""The tests, mirroring the house; `frame` holds what is true of the tree as a whole."""

"""Nodes as processes on this machine, started together, watched and ended together."""

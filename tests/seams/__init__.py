"""The real clock, dice, threads, sockets and files."""

"""Turns what the kernel tells observers into views for people. What can be decided without a screen is pure.

census.py counts births and deaths, rows.py lays the tree out as lines of a table, screen.py draws them with rich.
"""

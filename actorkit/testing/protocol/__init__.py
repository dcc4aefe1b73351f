"""Protocols described once and tested in many ways: histories of requests, and who judges them."""

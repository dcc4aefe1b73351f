"""Tests of what turns events into views."""

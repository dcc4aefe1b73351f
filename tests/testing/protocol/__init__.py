"""Tests of what judges message protocols."""

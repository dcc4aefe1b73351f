"""Text made safe to show on a terminal."""

from __future__ import annotations


def printable(text: str) -> str:
    """Escape whatever is not a visible character: control codes, undecodable bytes of file names, overrides."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else _escaped(char) for char in text)


def _escaped(char: str) -> str:
    return char.encode("unicode_escape", "surrogatepass").decode("ascii")

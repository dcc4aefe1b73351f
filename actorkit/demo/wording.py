"""How numbers and names are put into words. Text from files is made safe: it cannot end a table or become markup."""

from __future__ import annotations

from actorkit.observe.text import printable

_SPECIAL_IN_MARKDOWN = frozenset("\\`*_{}[]<>#|&~")


def shortened(text: str, limit: int) -> str:
    """The text in at most ``limit`` characters; what is cut is the beginning, as names differ at the end."""
    return text if len(text) <= limit else "…" + text[len(text) - limit + 1 :]


def counted(number: int, singular: str, plural: str | None = None) -> str:
    """A number with its noun: ``1 file``, ``1,204 files``."""
    noun = singular if number == 1 else plural or f"{singular}s"
    return f"{number:,} {noun}"


def in_markdown(text: str) -> str:
    """Text that Markdown shows as it is, in a table too."""
    safe = printable(text)
    return "".join(f"\\{char}" if char in _SPECIAL_IN_MARKDOWN else char for char in safe)


def code(text: str) -> str:
    """Text as a Markdown code span, in a table too; plain if it holds what would end the span or the cell."""
    safe = printable(text)
    if "`" in safe or ("\\" in safe and "|" in safe) or not safe.strip():
        return in_markdown(text)
    return "`" + safe.replace("|", "\\|") + "`"

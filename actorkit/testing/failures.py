"""What a failing test of actors raises. All are ``AssertionError``, so test runners show them as failures, not errors.

Unexpected       something else happened than the test expects: a wrong message, none, one too many, no restart
Deadlock         nothing can go on and no deadline is set: the test would wait for ever
Unbalanced       at the end of a test: a message was neither handled nor counted as lost
LeftBehind       at the end of a test: something outlived the system that was shut down
"""

from __future__ import annotations

import trio


class Unexpected(AssertionError):
    """Something else happened than the test expects; the text says what."""


class Deadlock(AssertionError):
    """Nothing can go on, and no timer is set: the test would wait for ever. The text says who waits for whom."""


class Misdirected(AssertionError):
    """A probe was sent something outside its vocabulary, which the real actor would not take either."""


class Unbalanced(AssertionError):
    """The system's books do not balance: a message that was sent is neither handled, nor waiting, nor a dead letter."""


class LeftBehind(AssertionError):
    """Something of a system is still there after it was shut down: an actor, a name, a timer, code that does not end."""


def leaf(error: BaseException) -> BaseException:
    """The exception that matters in nested groups: the first that is no cancellation."""
    while isinstance(error, BaseExceptionGroup):
        inside = [e for e in error.exceptions if not isinstance(e, trio.Cancelled)]
        error = (inside or error.exceptions)[0]
    return error

"""Chance: jitter and sampling, and ids that nobody can guess."""

from __future__ import annotations

import random
import secrets
from typing import Protocol


class Entropy(Protocol):
    """Where chance comes from."""

    @property
    def rng(self) -> random.Random:
        """For jitter, sampling and the like; never for secrets."""
        ...

    def token_bytes(self, count: int) -> bytes:
        """``count`` bytes that nobody can guess: for ids, nonces and keys."""
        ...


class SystemEntropy:
    """The operating system's entropy; the generator for jitter is seeded from it once."""

    __slots__ = ("_rng",)

    def __init__(self) -> None:
        self._rng = random.Random()

    @property
    def rng(self) -> random.Random:
        """A generator of this system's own, so that seeding the global one changes nothing here."""
        return self._rng

    def token_bytes(self, count: int) -> bytes:
        """From the operating system."""
        return secrets.token_bytes(count)

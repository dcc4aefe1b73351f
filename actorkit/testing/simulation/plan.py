"""What was out of the ordinary in one run: which options were passed over, which faults struck. Enough to run it again.

A plan names only deviations: with no plan everything happens first in, first out, and nothing breaks. That makes plans short
to print, quick to shrink, and the empty plan the simplest of all.

A plan travels as a token, ``ak1:`` and base64url of

    crc32 (4 bytes) | flag, hash of the trace (0 or 4 bytes) | number of delays | delays | faults to the end

where a delay is (steps since the one before, skip - 1), a fault is (steps since the one before, number, argument), and every
number is a varint of seven bits a byte.
"""

from __future__ import annotations

import binascii
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import accumulate, pairwise
from typing import NoReturn

import attrs

_PREFIX = "ak1:"
_VERSION = re.compile(r"ak(\d+):")
_BODY = re.compile(r"[A-Za-z0-9_-]+")
_LARGEST = 2**63 - 1


def _natural(minimum: int) -> Callable[[object, attrs.Attribute[int], int], None]:
    def check(owner: object, field: attrs.Attribute[int], value: int) -> None:
        if type(value) is not int or not minimum <= value <= _LARGEST:
            raise ValueError(
                f"{type(owner).__name__}.{field.name} is a whole number from {minimum} up, got {value!r}"
            )

    return check


@attrs.frozen(slots=True)
class Delay:
    """At this step, run not the first option but the one ``skip`` places behind it; those before it are held back.

    Attributes:
        step: counts the turns of the run, from 0.
        skip: how many options are passed over; taken modulo the number of options.
    """

    step: int = attrs.field(validator=_natural(0))
    skip: int = attrs.field(validator=_natural(1))

    def __str__(self) -> str:
        return f"step {self.step}: skip {self.skip}"


@attrs.frozen(slots=True)
class FaultAt:
    """Before this step, let a fault strike.

    Attributes:
        step: counts the turns of the run, from 0.
        fault: its place in the test's list of faults.
        arg: for the fault to read as it likes: which actor, how many bytes.
    """

    step: int = attrs.field(validator=_natural(0))
    fault: int = attrs.field(validator=_natural(0))
    arg: int = attrs.field(default=0, validator=_natural(0))

    def __str__(self) -> str:
        return self.describe()

    def describe(self, names: Sequence[str] = ()) -> str:
        """Say it in words; ``names`` are those of the test's faults."""
        name = names[self.fault] if self.fault < len(names) else f"fault {self.fault}"
        return f"step {self.step}: {name}({self.arg})" if self.arg else f"step {self.step}: {name}"


def _by_step(delays: Iterable[Delay]) -> tuple[Delay, ...]:
    return tuple(sorted(delays, key=lambda delay: delay.step))


def _faults_by_step(faults: Iterable[FaultAt]) -> tuple[FaultAt, ...]:
    """Sorted by step alone: faults of one step strike in the order they were given."""
    return tuple(sorted(faults, key=lambda fault: fault.step))


def _one_per_step(_: object, __: object, delays: tuple[Delay, ...]) -> None:
    for before, after in pairwise(delays):
        if before.step == after.step:
            raise ValueError(
                f"a plan takes one decision at a step, got both {before} and {after}; drop one of them"
            )


@attrs.frozen(slots=True)
class Plan:
    """The delays and the faults of one run, sorted by step; ``Plan()`` is first in, first out, without faults."""

    delays: tuple[Delay, ...] = attrs.field(default=(), converter=_by_step, validator=_one_per_step)
    faults: tuple[FaultAt, ...] = attrs.field(default=(), converter=_faults_by_step)

    @classmethod
    def of(
        cls,
        choices: Iterable[tuple[int, int]],
        faults: Iterable[tuple[int, int, int]] = (),
    ) -> Plan:
        """Make a plan of what was done in a run.

        Args:
            choices: the step and the index of the option that was run; index 0 is no deviation.
            faults: step, number and argument of each fault that struck, in order.
        """
        return cls(
            tuple(Delay(step, index) for step, index in choices if index),
            tuple(FaultAt(step, fault, arg) for step, fault, arg in faults),
        )

    @property
    def size(self) -> int:
        """How many deviations it holds."""
        return len(self.delays) + len(self.faults)

    def describe(self, faults: Sequence[str] = ()) -> str:
        """Say in words what is out of the ordinary, in the order in which it happens.

        Args:
            faults: names of the test's faults, by number.
        """
        spoken = [(fault.step, 0, fault.describe(faults)) for fault in self.faults]
        spoken += [(delay.step, 1, str(delay)) for delay in self.delays]
        spoken.sort(key=lambda item: item[:2])
        return "; ".join(text for *_, text in spoken) or "first in, first out; no fault"

    def token(self, *, trace: str = "") -> str:
        """Write the plan as one short word, for ``from_token``.

        Args:
            trace: hash of the run's trace in hex digits, of which the first eight are kept; empty for none.
        """
        if trace and not re.fullmatch(r"[0-9a-f]{8,}", trace):
            raise ValueError(f"a trace's hash is at least 8 lower-case hex digits, got {trace!r}")
        body = bytes(_packed(self, bytes.fromhex(trace[:8])))
        checked = binascii.crc32(body).to_bytes(4, "big") + body
        return _PREFIX + urlsafe_b64encode(checked).decode("ascii").rstrip("=")

    @classmethod
    def from_token(cls, token: str) -> tuple[Plan, str]:
        """Read a token: the plan, and the hash of its trace (empty if it carries none).

        Raises:
            ValueError: it is no token, was damaged on its way, or is of another version.
        """
        token = token.strip()
        body = _checked_body(token)
        try:
            plan, trace = _unpacked(body)
            if plan.token(trace=trace) != token:
                raise ValueError("not what token() would write")
        except (IndexError, ValueError):  # the checksum is right by accident
            _refuse(token, "it does not hold a plan")
        return plan, trace


def _packed(plan: Plan, trace: bytes) -> Iterator[int]:
    yield len(trace)
    yield from trace
    yield from _varint(len(plan.delays))
    step = 0
    for delay in plan.delays:
        yield from _varint(delay.step - step)
        yield from _varint(delay.skip - 1)
        step = delay.step
    step = 0
    for fault in plan.faults:
        for number in (fault.step - step, fault.fault, fault.arg):
            yield from _varint(number)
        step = fault.step


def _varint(number: int) -> Iterator[int]:
    while number > 0x7F:
        yield number & 0x7F | 0x80
        number >>= 7
    yield number


def _checked_body(token: str) -> bytes:
    """The bytes behind the checksum, which is right."""
    version = _VERSION.match(token)
    if version is None:
        _refuse(token, f"a token begins with {_PREFIX!r}")
    if version[0] != _PREFIX:
        _refuse(
            token,
            f"it is of version {version[1]}, and this actorkit reads version {_PREFIX[2:-1]}",
            "Replay it with the actorkit that wrote it",
        )
    text = token.removeprefix(_PREFIX)
    if not _BODY.fullmatch(text):
        _refuse(token, "only letters, digits, '-' and '_' may follow the colon")
    try:
        checked = urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except binascii.Error:
        _refuse(token, "characters are missing")
    if binascii.crc32(checked[4:]).to_bytes(4, "big") != checked[:4]:
        _refuse(token, "its checksum is wrong, so characters are missing or mistyped")
    return checked[4:]


def _unpacked(body: bytes) -> tuple[Plan, str]:
    at = 1 + body[0]
    trace = body[1:at].hex()
    numbers = list(_numbers(body[at:]))
    end = 1 + 2 * numbers[0]
    skips = (number + 1 for number in numbers[2:end:2])
    delays = zip(accumulate(numbers[1:end:2]), skips, strict=True)
    behind = numbers[end:]
    faults = zip(accumulate(behind[0::3]), behind[1::3], behind[2::3], strict=True)
    return Plan.of(delays, faults), trace


def _numbers(body: bytes) -> Iterator[int]:
    number = shift = 0
    for byte in body:
        number |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            yield number
            number = shift = 0


def _refuse(
    token: str, why: str, remedy: str = "Copy the whole token from the failure report"
) -> NoReturn:
    raise ValueError(
        f"not a replay token: {token!r}: {why}. {remedy}, or run the test without it to find a new failure"
    ) from None

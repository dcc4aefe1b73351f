"""Messages as bytes and back, by their classes' annotations, on msgpack: for other nodes, and for journals.

How this package is laid out, from the ground up:

    plain.py        plain values <-> bytes; the limits of a frame
    annotations.py  what annotations mean
    coder.py        ``ValueCodec``, and those of types without parts: scalars, times, enumerations
    values.py       those of collections and unions
    records.py      those of classes with fields: source, compiled when a class is first used
    anything.py     values that tell what they are
    failures.py     errors that answer asks
    codec.py        ``Codec``, from annotations to coders

**The format** is a promise, for journals are read by later versions. A message is the msgpack array

    [wire name, version, [field, field...]]

with one value for each parameter of its constructor, in order. Each module says what its part of the values looks like, and
``tests/codec/test_golden.py`` keeps one example of each. Whatever changes the list of fields, or how one travels, is a
new version of the message: ``@ak.message(version=2)``. Types decide how a field travels, so changing ``Item | None`` to
``Item | Box | None`` is such a change, and so is renaming a member of an enumeration; changing ``int`` to ``int | None`` is
none.

**Nothing is executed.** Classes are found among registered messages, loaded refusals, and the annotations of those; bytes
can make nothing be imported. What runs is constructors, with values of the types that are annotated. Bytes that are wrong in
any way raise ProtocolError, and nothing else; values that cannot travel raise Unencodable, before anything is sent.
"""

from __future__ import annotations

from actorkit.codec.annotations import reply_of
from actorkit.codec.codec import Codec, RefPort
from actorkit.codec.coder import ValueCodec
from actorkit.codec.plain import LIMITS, Limits, pack_plain, unpack_plain

__all__ = [
    "LIMITS",
    "Codec",
    "Limits",
    "RefPort",
    "ValueCodec",
    "pack_plain",
    "reply_of",
    "unpack_plain",
]

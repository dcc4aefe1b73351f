"""The nouns of the wire: what kinds of frames and operations cross a connection, and their limits.

A connection carries frames. A frame carries a batch of operations, a fragment of one that is too large for a frame, or
nothing but a sign of life. An operation ("op") is a list whose first element is its kind and whose other elements are its
fields; ``LEGAL`` says which types they may have. ``actorkit.cluster.wire`` turns all this into bytes and back.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product
from types import NoneType
from typing import Final

# Kinds of frames.
OPS: Final = 0  # a msgpack array of ops
FRAGMENT: Final = 1  # a piece of the body of an OPS frame that is too large for one frame
TICK: Final = 2  # empty: the sender lives

# Limits, checked before anything is allocated. Both ends keep to the same ones.
MAX_FRAME: Final = 1 << 20  # bytes of a frame, its length prefix apart
MAX_MESSAGE: Final = 64 << 20  # bytes of all the fragmented bodies that are under way together
MAX_OPEN: Final = 64  # fragmented bodies under way together
# A batch cannot hold more elements than it has bytes, and the codec takes 100,000 elements.
MAX_BATCH: Final = 96 << 10

# Kinds of ops, with their fields.
TELL: Final = 1  # to, tag, fields
ASK: Final = 2  # to, call, tag, fields, asker or 0, timeout or nil, chain
REPLY: Final = 3  # call, value
FAIL: Final = 4  # call, error
ABANDON: Final = 5  # call
DEFINE: Final = 6  # tag, wire name, version
WATCH: Final = 7  # to, watcher, monitor
UNWATCH: Final = 8  # watcher, monitor
DOWN: Final = 9  # watcher, or 0 for the node itself, monitor, serial of the dead or 0, reason
LINK: Final = 10  # from, to
UNLINK: Final = 11  # from, to
EXIT: Final = 12  # from or 0, seat, to, reason, linked
STOP: Final = 13  # to, call or 0, reason, limit or nil, how, by whose order or 0
STREAM: Final = 14  # to, call, tag, fields, asker, window
ITEM: Final = 15  # call, value
END: Final = 16  # call, error or nil
CREDIT: Final = 17  # call, number
REQUEST: Final = 18  # call, tag, fields
PEERS: Final = 19  # list of [name, address]
BYE: Final = 20  # reason

Types = tuple[type, ...]

_INT: Types = (int,)
_TEXT: Types = (str,)
_LIST: Types = (list,)
_TO: Types = (int, str)  # an actor's serial, or a name to be looked up at delivery
_SECONDS: Types = (int, float, NoneType)
_PLAIN: Types = (NoneType, bool, int, float, str, bytes, list, dict)  # for the codec to judge

_FIELDS: Mapping[int, tuple[Types, ...]] = {
    TELL: (_TO, _INT, _LIST),
    ASK: (_TO, _INT, _INT, _LIST, _INT, _SECONDS, _LIST),
    REPLY: (_INT, _PLAIN),
    FAIL: (_INT, _PLAIN),
    ABANDON: (_INT,),
    DEFINE: (_INT, _TEXT, _INT),
    WATCH: (_TO, _INT, _INT),
    UNWATCH: (_INT, _INT),
    DOWN: (_INT, _INT, _INT, _PLAIN),
    LINK: (_INT, _TO),
    UNLINK: (_INT, _TO),
    EXIT: (_INT, _INT, _TO, _PLAIN, (bool,)),
    STOP: (_TO, _INT, _PLAIN, _SECONDS, _TEXT, _INT),
    STREAM: (_TO, _INT, _INT, _LIST, _INT, _INT),
    ITEM: (_INT, _PLAIN),
    END: (_INT, _PLAIN),
    CREDIT: (_INT, _INT),
    REQUEST: (_INT, _INT, _LIST),
    PEERS: (_LIST,),
    BYE: (_PLAIN,),
}

# Every sequence of types an op of a kind may have, its kind included: one look-up judges a whole op.
LEGAL: Mapping[int, frozenset[Types]] = {
    kind: frozenset((int, *types) for types in product(*fields)) for kind, fields in _FIELDS.items()
}

"""Coders of classes with fields, written as source for each shape of class and compiled when the class is first used.

A record, which is a message, an attrs class, a dataclass or a named tuple, travels as the list of what its constructor
takes, in its order; so a field more or less, or in another place, is another version of the message. Decoding calls the
constructor: validators and converters run, and fields that it computes are computed.

For two fields, the second not plain, this is the source::

    def encode(m):
        if type(m) is C:
            v0 = m.name
            if type(v0) is str:
                at = 1
                try:
                    v1 = e1(m.place)
                except Exception as error:
                    unsent(at, error)
                return [v0, v1]
        return refuse(m)

    def decode(p):
        if type(p) is list and len(p) == 2:
            (v0, v1) = p
            if type(v0) is str:
                at = 1
                try:
                    v1 = d1(v1)
                    at = 2
                    return C(v0, v1)
                except Exception as error:
                    unmade(at, error, (v0, v1))
        return reject(p)

Six times faster than closures over the fields that do the same; nothing but names of attributes and parameters is ever
put into source, and those are identifiers. What fails a test is left to ``refuse`` and ``reject``, which go over the fields
one by one and say which it was. No part is ever looked at twice, so wrong values deep inside cost no more than right ones.
"""

from __future__ import annotations

from functools import lru_cache
from keyword import iskeyword
from types import CodeType
from typing import Any, NoReturn

from actorkit.codec.annotations import Field, title
from actorkit.codec.coder import ValueCodec, unfit, wrong
from actorkit.codec.plain import brief, within
from actorkit.errors import ProtocolError, Unencodable
from actorkit.kernel.message import error_text

Fields = tuple[tuple[Field, ValueCodec], ...]


def record(cls: type, name: str, fields: Fields) -> ValueCodec:
    """The coder of a class with these fields.

    Raises:
        Unencodable: a field's name cannot stand in source.
    """
    for field, _ in fields:
        if not all(n.isidentifier() and not iskeyword(n) for n in (field.name, field.alias)):
            raise Unencodable(f"{title(cls)}.{field.name}: a field needs a name that Python takes")
    scope = _Slow(cls, fields).scope()
    for at, (_, coder) in enumerate(fields):
        scope |= {f"e{at}": coder.encode, f"d{at}": coder.decode, f"t{at}": coder.direct}
    exec(_compiled(_encode_source(fields) + _decode_source(fields)), scope)
    depth = max((coder.depth for _, coder in fields), default=0) + 1
    return ValueCodec(name, scope["encode"], scope["decode"], frozenset({cls}), frozenset(), depth)


@lru_cache(maxsize=512)
def _compiled(source: str) -> CodeType:
    return compile(source, "<actorkit.codec.records>", "exec")


# The source -------------------------------------------------------------------------------------------------------


def _test(at: int, coder: ValueCodec) -> str:
    if len(coder.direct) > 2 or not all(kind.__module__ == "builtins" for kind in coder.direct):
        return f"type(v{at}) in t{at}"
    kinds = sorted(kind.__name__ for kind in coder.direct)
    tests = [f"v{at} is None" if kind == "NoneType" else f"type(v{at}) is {kind}" for kind in kinds]
    return tests[0] if len(tests) == 1 else f"({' or '.join(tests)})"


def _function(name: str, parameter: str, test: str, body: list[str], otherwise: str) -> str:
    lines = [f"if {test}:", *_indented(body), f"return {otherwise}({parameter})"]
    return "\n".join([f"def {name}({parameter}):", *_indented(lines), ""])


def _indented(lines: list[str]) -> list[str]:
    return ["    " + line for line in lines]


def _if_all(tests: list[str], body: list[str]) -> list[str]:
    return [f"if {' and '.join(tests)}:", *_indented(body)] if tests else body


def _tried(steps: list[tuple[int, str]], otherwise: str) -> list[str]:
    """Lines that take steps, each with the number of the field it is about, and say which has failed."""
    (first, step), *others = steps
    tried = [step, *(line for at, step in others for line in (f"at = {at}", step))]
    return [
        f"at = {first}",
        "try:",
        *_indented(tried),
        "except Exception as error:",
        f"    {otherwise}",
    ]


def _encode_source(fields: Fields) -> str:
    loads, tests, steps = [], [], []
    for at, (field, coder) in enumerate(fields):
        if coder.direct:
            loads.append(f"v{at} = m.{field.name}")
            tests.append(_test(at, coder))
        else:
            steps.append((at, f"v{at} = e{at}(m.{field.name})"))
    values = ", ".join(f"v{at}" for at in range(len(fields)))
    tried = _tried(steps, "unsent(at, error)") if steps else []
    body = [*loads, *_if_all(tests, [*tried, f"return [{values}]"])]
    return _function("encode", "m", "type(m) is C", body, "refuse")


def _decode_source(fields: Fields) -> str:
    taken = "".join(f"v{at}, " for at in range(len(fields)))
    tests = [_test(at, coder) for at, (_, coder) in enumerate(fields) if coder.direct]
    steps = [
        (at, f"v{at} = d{at}(v{at})") for at, (_, coder) in enumerate(fields) if not coder.direct
    ]
    arguments = ", ".join(
        f"{field.alias}=v{at}" if field.keyword else f"v{at}"
        for at, (field, _) in enumerate(fields)
    )
    steps.append((len(fields), f"return C({arguments})"))
    tried = _if_all(tests, _tried(steps, f"unmade(at, error, ({taken}))"))
    body = [f"({taken}) = p", *tried] if fields else tried
    return _function("decode", "p", f"type(p) is list and len(p) == {len(fields)}", body, "reject")


# The slow side ----------------------------------------------------------------------------------------------------


class _Slow:
    """What the compiled functions of a class leave to others: naming what is wrong, and ints beyond 64 bits."""

    __slots__ = ("_cls", "_fields")

    def __init__(self, cls: Any, fields: Fields) -> None:
        self._cls = cls
        self._fields = fields

    def scope(self) -> dict[str, Any]:
        """What the source refers to by name."""
        functions = (self.unsent, self.refuse, self.unmade, self.reject)
        return {"C": self._cls} | {function.__name__: function for function in functions}

    def _where(self, at: int) -> str:
        return f"{title(self._cls)}.{self._fields[at][0].name}"

    def unsent(self, at: int, error: Exception) -> NoReturn:
        """A field has not been encoded."""
        if isinstance(error, Unencodable):
            raise Unencodable(within(self._where(at), error)) from None
        if isinstance(error, RecursionError):
            why = "it is nested too deep, or holds itself: send it flattened"
        else:
            why = f"reading it raised {type(error).__name__}: {error_text(error)}"
        raise Unencodable(f"{self._where(at)}: {why}") from error

    def refuse(self, message: Any) -> Any:
        """Encode, or say what is wrong."""
        if type(message) is not self._cls:
            raise unfit(message, title(self._cls))
        plains = []
        for at, (field, coder) in enumerate(self._fields):
            try:
                plains.append(coder.encode(getattr(message, field.name)))
            except Exception as error:  # noqa: BLE001 - reading a field may run user code
                self.unsent(at, error)
        return plains

    def unmade(self, at: int, error: Exception, values: tuple[Any, ...]) -> NoReturn:
        """A field has not been decoded, or, if that is behind the last, the constructor has raised."""
        if isinstance(error, RecursionError):
            raise ProtocolError(f"{title(self._cls)}: it is nested too deep") from error
        if at < len(self._fields):
            raise ProtocolError(within(self._where(at), error)) from None
        named = zip(self._fields, values, strict=True)
        shown = ", ".join(f"{field.name}={brief(value)}" for (field, _), value in named)
        raise ProtocolError(
            f"{title(self._cls)}({shown}) is refused by its constructor: "
            f"{type(error).__name__}: {error_text(error)}"
        ) from error

    def reject(self, plain: Any) -> Any:
        """Decode, or say what is wrong."""
        if type(plain) is not list:
            raise wrong(plain, f"the fields of {title(self._cls)}")
        if len(plain) != len(self._fields):
            names = ", ".join(field.name for field, _ in self._fields)
            raise ProtocolError(
                f"{title(self._cls)} has {len(self._fields)} fields ({names}), got {len(plain)}: "
                "the other side has another version of it"
            )
        values: list[Any] = []
        for at, ((_, coder), one) in enumerate(zip(self._fields, plain, strict=True)):
            try:
                values.append(coder.decode(one))
            except Exception as error:  # noqa: BLE001 - a codec of others' references may raise what it likes
                self.unmade(at, error, ())
        return self._made(values)

    def _made(self, values: list[Any]) -> Any:
        named = [(field, value) for (field, _), value in zip(self._fields, values, strict=True)]
        try:
            return self._cls(
                *(value for field, value in named if not field.keyword),
                **{field.alias: value for field, value in named if field.keyword},
            )
        except Exception as error:  # noqa: BLE001 - validators raise what they like
            self.unmade(len(named), error, tuple(values))

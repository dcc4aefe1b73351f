"""What a class of actors speaks, read off its type argument, and held against its handlers when it is created."""

from __future__ import annotations

import sys
import typing
from collections.abc import AsyncIterator, Callable
from typing import Any, Generic, TypeAlias, TypeVar, Union

import pytest

import actorkit as ak
from actorkit.kernel.vocabulary import Handler, Kind, handlers

T = TypeVar("T")
U = TypeVar("U")


@ak.message
class Tick:
    """Tell only."""


@ak.message
class Tock:
    """Tell only."""


@ak.message
class Ask(ak.Request[int]):
    """A request."""


@ak.message
class AskMore(Ask):
    """A request below another."""


@ak.message
class Feed(ak.StreamRequest[int]):
    """A request for a stream."""


@ak.message
class Box(Generic[T]):
    """A generic message."""

    value: T


TickOrAsk: TypeAlias = Union[Tick, Ask]  # noqa: UP007 - the old spelling is what is tested


def kinds(cls: type[ak.Actor[Any]]) -> dict[type, Kind]:
    """How each message of a class is handled."""
    return {taken: handler.kind for taken, handler in handlers(cls).items()}


def handled_by(cls: type[ak.Actor[Any]]) -> dict[type, Callable[..., Any]]:
    """Which function handles each message of a class."""
    return {taken: handler.function for taken, handler in handlers(cls).items()}


def refuses(*words: str) -> Any:
    """A VocabularyError whose text names all this."""
    return pytest.raises(ak.VocabularyError, match="".join(rf"(?=.*{word})" for word in words))


# Cover ----------------------------------------------------------------------------------------------------------


def test_missing_handlers_are_named() -> None:
    """Every message without a handler is named, and so is the class."""
    with refuses("Deaf", "has no handler for", "Tock", "Ask"):

        class Deaf(ak.Actor[Tick | Tock | Ask]):
            @ak.on(Tick)
            def tick(self, msg: Tick) -> None: ...


def test_foreign_handlers_are_named() -> None:
    """A handler whose message the vocabulary does not name is an error."""
    with refuses("Nosy", "handles Tock", "its vocabulary does not name"):

        class Nosy(ak.Actor[Tick]):
            @ak.on(Tick)
            def tick(self, msg: Tick) -> None: ...
            @ak.on(Tock)
            def tock(self, msg: Tock) -> None: ...


def test_two_handlers_for_one_message() -> None:
    """Two methods of one class cannot take the same message."""
    with refuses("Twice", "one and other both handle Tick"):

        class Twice(ak.Actor[Tick]):
            @ak.on(Tick)
            def one(self, msg: Tick) -> None: ...
            @ak.on(Tick)
            def other(self, msg: Tick) -> None: ...


def test_one_method_for_two_messages() -> None:
    """One method may take several messages."""

    class Both(ak.Actor[Tick | Tock]):
        @ak.on(Tick)  # type: ignore[arg-type]
        @ak.on(Tock)
        def any_of_them(self, msg: Tick | Tock) -> None: ...

    assert set(kinds(Both)) == {Tick, Tock}
    assert len(set(handled_by(Both).values())) == 1


def test_a_handler_of_a_base_covers_what_is_below() -> None:
    """A handler of a base class takes the messages below it, unless they have one of their own."""

    class General(ak.Actor[AskMore]):
        @ak.on(Ask)
        def ask(self, msg: Ask) -> int:
            return 0

    class Everything(ak.Actor[Tick | Ask]):
        @ak.on(object)
        def take(self, msg: object) -> None: ...

    assert General.__actorkit_table__.find(AskMore) == General.__actorkit_table__.find(Ask)
    assert Everything.__actorkit_table__.find(Tick) is not None
    assert General.__actorkit_table__.find(Tick) is None


@pytest.mark.parametrize("notice", [ak.Down, ak.Exit])
def test_notices_are_no_messages(notice: type) -> None:
    """Death notices arrive at their hooks; a handler for them would take them for messages."""
    with refuses("Morbid.take", notice.__name__, "hook"):

        class Morbid(ak.Actor[Any]):
            @ak.on(notice)
            def take(self, msg: object) -> None: ...


# Type arguments --------------------------------------------------------------------------------------------------


class Mixed(ak.Actor[TickOrAsk | Tock]):
    """Speaks a union of an alias and a class."""

    @ak.on(Tick)
    def tick(self, msg: Tick) -> None: ...
    @ak.on(Tock)
    async def tock(self, msg: Tock) -> None: ...
    @ak.on(Ask)
    async def ask(self, msg: Ask) -> int:
        return 1


def test_unions_and_aliases() -> None:
    """Unions of both spellings, nested and through aliases, name their members once."""
    assert sorted(m.__name__ for m in Mixed.__actorkit_vocabulary__ or ()) == [
        "Ask",
        "Tick",
        "Tock",
    ]
    assert kinds(Mixed) == {Tick: Kind.SYNC, Tock: Kind.ASYNC, Ask: Kind.ASYNC}


ALIASES = """
type Small = Tick | Tock
type Large = Small | Ask
type Alone = Tick
class Speaks(ak.Actor[{argument}]):
    @ak.on(Tick)
    def tick(self, msg): ...
    @ak.on(Tock)
    def tock(self, msg): ...
    @ak.on(Ask)
    def ask(self, msg): return 1
"""


@pytest.mark.skipif(sys.version_info < (3, 12), reason="the type statement came with 3.12")
@pytest.mark.parametrize(
    "argument", ["Large", "Small | Ask", "Alone | Tock | Ask", "Large | Small"]
)
def test_aliases_of_the_type_statement(argument: str) -> None:
    """``type X = A | B`` is seen through, also inside other unions and aliases."""
    scope: dict[str, Any] = {"ak": ak, "Tick": Tick, "Tock": Tock, "Ask": Ask}
    exec(ALIASES.format(argument=argument), scope)
    assert set(scope["Speaks"].__actorkit_vocabulary__) == {Tick, Tock, Ask}


@pytest.mark.skipif(sys.version_info < (3, 12), reason="the type statement came with 3.12")
def test_an_alias_does_not_hide_what_is_missing() -> None:
    """Behind an alias too, a message without a handler is named."""
    scope: dict[str, Any] = {"ak": ak, "Tick": Tick, "Tock": Tock, "Ask": Ask}
    deaf = ALIASES.format(argument="Large").replace(
        "    @ak.on(Tock)\n    def tock(self, msg): ...\n", ""
    )
    with refuses("Speaks has no handler for Tock"):
        exec(deaf, scope)


@pytest.mark.parametrize("argument", [3, "Tick", "Tick | Tock", typing.Literal["x"]])
def test_what_is_no_class_is_no_vocabulary(argument: Any) -> None:
    """A type argument that is no class or union of classes is refused, shown."""
    with refuses("Odd: its vocabulary must be message classes or a union of them"):

        class Odd(ak.Actor[argument]): ...


def test_generic_messages_are_handled_by_their_class() -> None:
    """``Box[int]`` and ``Box[str]`` are one class when the program runs."""

    class Porter(ak.Actor[Box[int] | Box[str]]):
        @ak.on(Box)
        def box(self, msg: Box[Any]) -> None: ...

    class Exact(ak.Actor[Box[int]]):
        @ak.on(Box[int])
        def box(self, msg: Box[int]) -> None: ...

    assert Porter.__actorkit_vocabulary__ == (Box,)
    assert handled_by(Exact) == {Box: Exact.box}


# Inheritance -----------------------------------------------------------------------------------------------------


class Teller(ak.Actor[Tick | T]):
    """Open: its vocabulary is decided by its subclasses."""

    @ak.on(Tick)
    def tick(self, msg: Tick) -> None: ...


class Wide(Teller[U | Tock], Generic[U]):
    """Open still, with a message more."""

    @ak.on(Tock)
    def tock(self, msg: Tock) -> None: ...


def test_generic_actors_are_checked_when_they_are_closed() -> None:
    """Type variables are followed through generic bases; only a closed vocabulary is checked."""
    assert Teller.__actorkit_vocabulary__ is None
    assert Wide.__actorkit_vocabulary__ is None

    class Closed(Wide[Ask]):
        @ak.on(Ask)
        def ask(self, msg: Ask) -> int:
            return 1

    assert set(Closed.__actorkit_vocabulary__ or ()) == {Tick, Tock, Ask}
    with refuses("Open has no handler for Ask"):

        class Open(Wide[Ask]): ...


def test_any_leaves_the_vocabulary_open() -> None:
    """``Actor[Any]`` and a bare ``Actor`` are not checked."""

    class Untyped(ak.Actor[Any]):
        @ak.on(Tick)
        def tick(self, msg: Tick) -> None: ...

    class Bare(ak.Actor):  # type: ignore[type-arg]
        @ak.on(Tock)
        def tock(self, msg: Tock) -> None: ...

    assert Untyped.__actorkit_vocabulary__ is None
    assert Bare.__actorkit_vocabulary__ is None


def test_handlers_are_inherited_and_overridden() -> None:
    """A subclass keeps its base's handlers; overriding a method, marked anew or not, replaces it; so does another name."""

    class Plain(Mixed):
        def tick(self, msg: Tick) -> None: ...

    class Marked(Mixed):
        @ak.on(Tick)
        async def tick(self, msg: Tick) -> None: ...  # type: ignore[override]

    class Renamed(Mixed):
        @ak.on(Tick)
        def other(self, msg: Tick) -> None: ...

    assert handled_by(Plain) == handled_by(Mixed) | {Tick: Plain.tick}
    assert kinds(Marked) == kinds(Mixed) | {Tick: Kind.ASYNC}
    assert handled_by(Renamed) == handled_by(Mixed) | {Tick: Renamed.other}


def test_mixins_bring_handlers() -> None:
    """A class that is no actor may bring marked methods to several."""

    class Ticking:
        @ak.on(Tick)
        def tick(self, msg: Tick) -> None: ...

    class User(Ticking, ak.Actor[Tick | Tock]):
        @ak.on(Tock)
        def tock(self, msg: Tock) -> None: ...

    assert handled_by(User) == {Tick: Ticking.tick, Tock: User.tock}


def test_a_subclass_cannot_narrow_the_vocabulary_away_from_its_handlers() -> None:
    """An inherited vocabulary is checked again, so a deeper class cannot add a foreign handler."""
    with refuses("Deeper handles Feed"):

        class Deeper(Mixed):
            @ak.on(Feed)
            async def feed(self, msg: Feed) -> AsyncIterator[int]:
                yield 1


# Signatures ------------------------------------------------------------------------------------------------------


class Every(ak.Actor[Any]):
    """One handler of every kind."""

    @ak.on(Tick)
    def sync(self, msg: Tick) -> None: ...
    @ak.on(Tock)
    async def asynchronous(self, msg: Tock) -> None: ...
    @ak.on(Ask)
    def deferred(self, msg: Ask, reply: ak.Reply[int]) -> None: ...
    @ak.on(AskMore)
    async def deferred_async(self, msg: AskMore, reply: ak.Reply[int]) -> None: ...
    @ak.on(Feed)
    async def stream(self, msg: Feed) -> AsyncIterator[int]:
        yield 1


class EveryStream(ak.Actor[Any]):
    """A stream that is answered by hand."""

    @ak.on(Feed)
    async def feed(self, msg: Feed, out: ak.ReplyStream[int]) -> None: ...


def test_kinds_are_read_off_signatures() -> None:
    """Sync or async, answering at once, later, or with a stream."""
    assert kinds(Every) == {
        Tick: Kind.SYNC,
        Tock: Kind.ASYNC,
        Ask: Kind.DEFERRED,
        AskMore: Kind.DEFERRED_ASYNC,
        Feed: Kind.STREAM,
    }
    assert kinds(EveryStream) == {Feed: Kind.DEFERRED_ASYNC}
    assert handlers(Every)[Tick] == Handler(Every.sync, Kind.SYNC, "sync")


async def _generator(self: Any, msg: Any) -> AsyncIterator[int]:
    yield 1


async def _generator_with_reply(self: Any, msg: Any, reply: Any) -> AsyncIterator[int]:
    yield 1


@pytest.mark.parametrize(
    ("taken", "function", "words"),
    [
        (Tick, lambda self: None, "must take"),
        (Tick, lambda self, msg, reply: None, "Tick is no Request, so it has no reply to defer"),
        (Ask, lambda self, msg, reply, more: None, "must take"),
        (Ask, lambda self, *args: None, "must take"),
        (Ask, _generator, "an async generator answers a StreamRequest, and only that; Ask is none"),
        (Feed, lambda self, msg: None, "an async generator answers a StreamRequest.*Feed is one"),
        (Feed, _generator_with_reply, "must take"),
    ],
)
def test_wrong_signatures(taken: Any, function: Any, words: str) -> None:
    """A handler that cannot be called as its message demands is refused, named."""
    function = type(function)(function.__code__, {}, "handle")
    with refuses(r"Wrong\.handle", words):
        type("Wrong", (ak.Actor,), {"handle": ak.on(taken)(function)})


def test_defaults_do_not_count() -> None:
    """A parameter with a default is the method's own business."""

    class Relaxed(ak.Actor[Ask]):
        @ak.on(Ask)
        def ask(self, msg: Ask, retries: int = 3, *, loud: bool = False) -> int:
            return retries

    assert kinds(Relaxed) == {Ask: Kind.SYNC}


@pytest.mark.parametrize("taken", [3, "Tick", Tick | Tock, None, Tick()])
def test_on_takes_a_class(taken: Any) -> None:
    """``on`` of anything but a class is refused, shown."""
    with refuses(r"on\(\) takes a message class, got"):
        ak.on(taken)


def test_on_marks_a_method() -> None:
    """``on`` cannot mark what cannot be called."""
    with refuses(r"@on\(Tick\) marks a method, got 3"):
        ak.on(Tick)(3)  # type: ignore[call-overload]

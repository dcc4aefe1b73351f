"""What the cases of distribution start in other processes: actors that do what they are told in messages, and say what they saw."""

from __future__ import annotations

from typing import Any

import actorkit as ak

Reason = Any  # an exit reason; it travels as a value


@ak.message(name="far.End")
class End:
    """End in good order, for a reason."""

    reason: Reason


@ak.message(name="far.Tie")
class Tie(ak.Request[None]):
    """Link yourself to somebody, and watch it."""

    ref: ak.Ref[Any]


@ak.message(name="far.Seen")
class Seen(ak.Request[list[Any]]):
    """What have you recorded?"""


@ak.message(name="far.Note")
class Note:
    """Something to be recorded."""

    value: Any


@ak.message(name="far.Call")
class Call(ak.Request[Any]):
    """Do something and answer: ``value``, ``refuse``, ``raise``, ``exit``, ``sleep``, ``node`` or ``nobody``."""

    how: str
    what: Any = None


@ak.message(name="far.Connect")
class Connect(ak.Request[str]):
    """Dial an address; answered with the name of who is there, or with ``Refused``."""

    address: str


@ak.message(name="far.Up")
class Up(ak.Request[list[str]]):
    """Which nodes are up, as seen there?"""


Words = End | Tie | Seen | Note | Call | Connect | Up


class NotToday(ak.Refused):
    """An expected error."""

    def __init__(self, what: str) -> None:
        super().__init__(f"{what}? not today")
        self.what = what


class Far(ak.Actor[Words]):
    """Does as it is told, and records what it hears."""

    trap_exits = True

    def __init__(self) -> None:
        self.seen: list[Any] = []

    @ak.on(End)
    def end(self, msg: End) -> None:
        """End."""
        raise ak.Stop(msg.reason)

    @ak.on(Tie)
    def tie(self, msg: Tie) -> None:
        """Hear of its end in both ways."""
        self.ctx.watch(msg.ref)
        self.ctx.link(msg.ref)

    @ak.on(Seen)
    def tell(self, _: Seen) -> list[Any]:
        """Tell."""
        return self.seen

    @ak.on(Note)
    def note(self, msg: Note) -> None:
        """Record."""
        self.seen.append(["note", msg.value])

    @ak.on(Call)
    async def call(self, msg: Call) -> Any:
        """Answer in one of many ways."""
        match msg.how:
            case "refuse":
                raise NotToday(msg.what)
            case "raise":
                raise LookupError(msg.what)
            case "exit":
                raise ak.Stop(msg.what)
            case "sleep":
                await self.ctx.sleep(msg.what)
                return "awake"
            case "node":
                return ak.Node.of(self.ctx).name
            case _:
                return msg.what

    @ak.on(Connect)
    async def connect(self, msg: Connect) -> str:
        """Dial."""
        try:
            return await ak.Node.of(self.ctx).connect(msg.address)
        except ak.ConnectFailed as error:
            raise ak.Refused(str(error)) from None

    @ak.on(Up)
    def up(self, _: Up) -> list[str]:
        """Tell."""
        return list(ak.Node.of(self.ctx).nodes())

    def down(self, down: ak.Down) -> None:
        self.seen.append(["down", down.ref, down.reason])

    def exited(self, exit: ak.Exit) -> None:  # noqa: A002
        self.seen.append(["exit", exit.ref, exit.reason])


class Slow(Far):
    """Takes its time to start, and tells somebody when it begins to."""

    def __init__(self, tell: ak.Ref[Any], seconds: float) -> None:
        super().__init__()
        self.who = tell
        self.seconds = seconds

    async def started(self) -> None:
        self.who.tell(Note("starting"))
        await self.ctx.sleep(self.seconds)


class Broken(Far):
    """Does not start."""

    def started(self) -> None:
        raise LookupError("nothing to work with")

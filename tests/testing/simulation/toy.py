"""Toy actor systems: small enough to try every schedule, mean enough to need them.

A client runs its steps in order; one that ends with an ask waits for the answer. An actor handles its mail in order, and what it
does depends on what it has handled before. Processes start and kill each other, look at a shared world, and overtake mail.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import combinations
from typing import TypeAlias

import attrs

from actorkit.testing.simulation.exhaustive import Diverged, Transition


@attrs.frozen
class Tell:
    """Put a message at the end of somebody's mail; ``first``: in front of it."""

    to: str
    value: int = 0
    first: bool = False


@attrs.frozen
class Ask:
    """As ``Tell``, and wait for the answer before the next step."""

    to: str
    value: int = 0


@attrs.frozen
class Touch:
    """Change the world; then, if it is odd, do more."""

    odd: tuple[Action, ...] = ()


@attrs.frozen
class Start:
    """Wake somebody who sleeps."""

    who: str


@attrs.frozen
class Kill:
    """End somebody; mail for the dead is lost."""

    who: str


Action: TypeAlias = "Tell | Ask | Touch | Start | Kill"
Script: TypeAlias = tuple[tuple[Action, ...], ...]


Pick: TypeAlias = Callable[[Sequence[str]], str]


def next_in_line(options: Sequence[str]) -> str:
    """Whoever has waited longest."""
    return options[0]


@attrs.frozen
class System:
    """A closed system.

    Attributes:
        clients: what each does, step by step.
        actors: what each does with a message: chosen by the message and by what came before it.
        sleepers: who must be started first.
    """

    clients: Mapping[str, Script]
    actors: Mapping[str, Script] = attrs.Factory(dict)
    sleepers: frozenset[str] = frozenset()

    def run(self, schedule: Sequence[str], pick: Pick = next_in_line) -> list[Transition]:
        """Run to the end: first as told, then whoever is picked."""
        world = World(self)
        for index, process in enumerate(schedule):
            if process not in world.options:
                raise Diverged(index, f"{process} cannot go on, only {world.options} can")
            world.step(process)
        while world.options:
            world.step(pick(world.options))
        return world.done


@attrs.frozen
class Mail:
    """A message on its way."""

    value: int
    sender: str
    sent_in: int
    asked: bool


class World:
    """One run of a system."""

    def __init__(self, system: System) -> None:
        self.scripts = {**system.clients, **system.actors}
        self.actors = system.actors
        self.sleepers = set(system.sleepers)
        self.mail: dict[str, deque[Mail]] = {name: deque() for name in system.actors}
        self.position = dict.fromkeys(self.scripts, 0)
        self.blocked: set[str] = set()
        self.dead: set[str] = set()
        self.roused: dict[str, set[int]] = {name: set() for name in self.scripts}
        self.number = 0
        self.done: list[Transition] = []
        self.options: list[str] = []
        self._refresh()

    def step(self, process: str) -> None:
        """Let a process take one step."""
        options = tuple(self.options)
        self.options.remove(process)
        causes, self.roused[process] = self.roused[process], set()
        if process in self.actors:
            mail = self.mail[process].popleft()
            causes.add(mail.sent_in)
            wrote = self._handle(process, mail)
        else:
            actions = self.scripts[process][self.position[process]]
            self.position[process] += 1
            wrote = self._perform(process, actions)
        self.done.append(Transition(process, options, frozenset(wrote), tuple(sorted(causes))))
        self._refresh()

    def _handle(self, actor: str, mail: Mail) -> set[str]:
        state = self.position[actor]
        self.position[actor] = (2 * state + mail.value + 1) % 5
        script = self.scripts[actor]
        wrote = self._perform(actor, script[(state + mail.value) % len(script)] if script else ())
        if mail.asked:
            wrote.add(f"mail:{mail.sender}")
            if mail.sender in self.blocked:
                self.blocked.remove(mail.sender)
                self.roused[mail.sender].add(len(self.done))
        return wrote

    def _perform(self, process: str, actions: Sequence[Action]) -> set[str]:
        wrote: set[str] = set()
        for action in actions:
            wrote |= self._act(process, action)
        return wrote

    def _act(self, process: str, action: Action) -> set[str]:
        match action:
            case Tell(to, value, first):
                self._send(Mail(value, process, len(self.done), asked=False), to, first=first)
                return everything_of(to) if first else {f"mail:{to}"}
            case Ask(to, value):
                if process in self.actors:
                    return set()
                self.blocked.add(process)
                self._send(Mail(value, process, len(self.done), asked=True), to)
                return {f"mail:{to}"}
            case Touch(odd):
                self.number += 1 + len(process)
                return {"world"} | self._perform(process, odd if self.number % 2 else ())
            case Start(who):
                if who in self.sleepers:
                    self.sleepers.remove(who)
                    self.roused[who].add(len(self.done))
                return {f"life:{who}"}
            case Kill(who):
                self.dead.add(who)
                return everything_of(who)

    def _send(self, mail: Mail, to: str, *, first: bool = False) -> None:
        if to in self.dead:
            return
        if first:
            self.mail[to].appendleft(mail)
        else:
            self.mail[to].append(mail)

    def _refresh(self) -> None:
        able = [name for name in self.scripts if self._can_go_on(name)]
        self.options = [name for name in self.options if name in able]
        self.options += [name for name in able if name not in self.options]

    def _can_go_on(self, name: str) -> bool:
        if name in self.sleepers or name in self.dead or name in self.blocked:
            return False
        if name in self.actors:
            return bool(self.mail[name])
        return self.position[name] < len(self.scripts[name])


def everything_of(process: str) -> set[str]:
    """What a step touches that changes the next step of another, or takes it away: whatever could enable that, too."""
    return {process, f"mail:{process}", f"life:{process}"}


def every_schedule(
    run: Callable[[Sequence[str]], Sequence[Transition]],
) -> Iterator[Sequence[Transition]]:
    """All runs there are, by brute force."""
    untried: list[list[str]] = [[]]
    while untried:
        schedule = untried.pop()
        steps = run(schedule)
        yield steps
        taken = [step.process for step in steps]
        for index in range(len(schedule), len(steps)):
            others = (name for name in steps[index].enabled if name != taken[index])
            untried += [[*taken[:index], name] for name in others]


def order_of_conflicts(steps: Sequence[Transition]) -> frozenset[object]:
    """Which steps there were, and in what order those stood that conflict: what makes a trace, spelled out."""
    count: dict[str, int] = {}
    events: list[tuple[str, int]] = []
    for step in steps:
        count[step.process] = count.get(step.process, 0) + 1
        events.append((step.process, count[step.process]))
    pairs = combinations(zip(events, steps, strict=True), 2)
    return frozenset(events) | frozenset(
        (one, other)
        for (one, first), (other, second) in pairs
        if (first.writes | {first.process}) & (second.writes | {second.process})
    )

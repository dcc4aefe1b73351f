"""Memberships in any history of wishes, losses, restarts and cuts: whoever wants another in the end is connected to it."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)

from actorkit.cluster.membership import Mode
from actorkit.kernel.notices import LostReason
from tests.cluster.test_membership_world import Host, World, check_pair

NAMES = "abcde"
WHICH = st.integers(0, 40)
BUSIEST = 16  # dials to one address within a second, however its connections come and go


class Cluster(RuleBasedStateMachine):
    """Two to five nodes; at the end everything heals, and the laws of a healed cluster hold."""

    mode: Mode = "always"
    mesh = False

    @initialize(nodes=st.integers(2, 5), seed=st.integers(0, 99), seeds=st.booleans())
    def begin(self, nodes: int, seed: int, seeds: bool) -> None:
        self.world = World(self.mode, mesh=self.mesh, seed=seed)
        self.asked = 0
        for name in NAMES[:nodes]:
            host = self.world.start(name)
            if seeds:
                self.world.join(host, "a:1")

    def _host(self, which: int) -> Host:
        alive = self.world.alive()
        return alive[which % len(alive)]

    def _name(self, which: int) -> str:
        return sorted(self.world.hosts)[which % len(self.world.hosts)]

    @rule(which=st.lists(WHICH, min_size=1, max_size=6))
    def arrive(self, which: list[int]) -> None:
        for number in which:
            if ready := self.world.deliverable():
                self.world.deliver(*ready[number % len(ready)])

    @rule(seconds=st.sampled_from([0.01, 0.15, 1.0, 7.0, 20.0]))
    def wait(self, seconds: float) -> None:
        self.world.pass_time(seconds)

    @rule(which=WHICH, other=WHICH, knows=st.booleans())
    def want(self, which: int, other: int, knows: bool) -> None:
        host = self._host(which)
        if knows and self._name(other) != host.name:
            self.world.learn(host, self.world.hosts[self._name(other)])
        self.world.want(host, self._name(other))

    @rule(which=WHICH, other=WHICH, by_address=st.booleans())
    def connect(self, which: int, other: int, by_address: bool) -> None:
        name = self._name(other)
        target = self.world.hosts[name].identity.address if by_address else name
        self.asked += 1
        self.world.connect(self._host(which), target)

    @rule(which=WHICH, other=WHICH)
    def disconnect(self, which: int, other: int) -> None:
        self.world.disconnect(self._host(which), self._name(other))

    @rule(which=WHICH, reason=st.sampled_from([LostReason.CLOSED, LostReason.TICK]))
    def lose(self, which: int, reason: LostReason) -> None:
        if ends := list(self.world.ends()):
            self.world.lose(*ends[which % len(ends)], reason)

    @rule(one=WHICH, other=WHICH)
    def cut(self, one: int, other: int) -> None:
        self.world.cuts.add(frozenset({self._name(one), self._name(other)}))

    @precondition(lambda self: self.world.cuts)
    @rule(which=WHICH)
    def mend(self, which: int) -> None:
        cuts = sorted(self.world.cuts, key=sorted)
        self.world.cuts.remove(cuts[which % len(cuts)])

    @rule(which=WHICH, silent=st.booleans(), moves=st.booleans())
    def restart(self, which: int, silent: bool, moves: bool) -> None:
        host = self._host(which)
        self.world.kill(host, silent=silent)
        address = f"{host.name}:{self.world.births + 1}" if moves else host.identity.address
        again = self.world.start(host.name, address)
        if host.joined:
            self.world.join(again, "a:1")

    def teardown(self) -> None:
        if hasattr(self, "world"):
            self.world.cuts.clear()
            self.world.settle(30.0)
            self._heal()
            self._check()

    def _heal(self) -> None:
        world = self.world
        for one in world.alive():
            for other in world.alive():
                if one is not other:
                    world.learn(one, other)
                    self._wish(one, other)
        world.settle(30.0)

    def _wish(self, one: Host, other: Host) -> None:
        self.world.want(one, other.name)

    def _check(self) -> None:
        alive = self.world.alive()
        for host in alive:
            assert not host.waiting | host.connecting, "everybody who asked was answered"
            assert not host.dials
            assert host.view == tuple(other.name for other in alive if other is not host)
            for other in alive:
                if other is not host:
                    check_pair(self.world, host, other)
            self._no_storm(host)
        healed = self.world.now
        self.world.settle(60.0)
        late = {to for host in alive for to, at in host.dialled_at if at > healed}
        there = {host.identity.address for host in alive}
        assert not late & there, (
            "nobody dials who has all; only a seed that has moved is looked for"
        )

    def _no_storm(self, host: Host) -> None:
        seconds = Counter((address, int(at)) for address, at in host.dialled_at)
        assert max(seconds.values(), default=0) <= BUSIEST + self.asked


class Mesh(Cluster):
    """All want all, by gossip alone: it is enough that each is connected to one."""

    mesh = True

    def _wish(self, one: Host, other: Host) -> None:
        if one.name == "a":
            self.world.want(one, other.name)


class Once(Cluster):
    """As the rest, but what broke is only mended by asking."""

    mode: Mode = "once"

    def _wish(self, one: Host, other: Host) -> None:
        self.asked += 1
        self.world.connect(one, other.name)


class Never(Once):
    """As the rest, but nothing is connected without asking."""

    mode: Mode = "never"


@pytest.mark.parametrize("machine", [Cluster, Mesh, Once, Never])
def test_any_history_ends_in_one_connection_for_each_pair(machine: type[Cluster]) -> None:
    """Notices alternate and match, nobody is dialled in vain, and after healing both ends agree on one connection."""
    run_state_machine_as_test(
        machine, settings=settings(max_examples=60, stateful_step_count=40, deadline=None)
    )

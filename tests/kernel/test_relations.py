"""Links and monitors against the plainest model there is: two lists of pairs."""

from __future__ import annotations

from typing import Any

import attrs
from hypothesis import given
from hypothesis import strategies as st

from actorkit.kernel.exits import Monitor
from actorkit.kernel.relations import Mourners, Relations, Watch

PARTIES = "abcd"
party = st.sampled_from(PARTIES)
monitor_number = st.integers(0, 12)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("link"), party, party),
        st.tuples(st.just("unlink"), party, party),
        st.tuples(st.just("watch"), party, party),
        st.tuples(st.just("unwatch"), monitor_number),
        st.tuples(st.just("bury"), party),
    ),
    max_size=40,
)


@attrs.define
class Pairs:
    """The model: links and watches in the order they were made, searched from end to end."""

    links: list[tuple[str, str]] = attrs.field(factory=list)
    watches: list[Watch[str]] = attrs.field(factory=list)
    made: list[Monitor] = attrs.field(factory=list)

    def linked(self, one: str) -> tuple[str, ...]:
        return tuple(b if a == one else a for a, b in self.links if one in {a, b})

    def link(self, one: str, other: str) -> None:
        if one != other and other not in self.linked(one):
            self.links.append((one, other))

    def unlink(self, one: str, other: str) -> bool:
        kept = [pair for pair in self.links if set(pair) != {one, other}]
        found = len(kept) < len(self.links)
        self.links = kept
        return found

    def unwatch(self, monitor: Monitor) -> Watch[str] | None:
        found = [w for w in self.watches if w.monitor == monitor]
        self.watches = [w for w in self.watches if w.monitor != monitor]
        return found[0] if found else None

    def bury(self, dead: str) -> Mourners[str]:
        told = Mourners(self.linked(dead), tuple(w for w in self.watches if w.target == dead))
        self.links = [pair for pair in self.links if dead not in pair]
        self.watches = [w for w in self.watches if dead not in {w.watcher, w.target}]
        return told


def play(real: Relations[str], model: Pairs, step: tuple[Any, ...]) -> None:
    """Do one thing to both, and compare what each says of it."""
    match step:
        case "link", one, other:
            real.link(one, other)
            model.link(one, other)
        case "unlink", one, other:
            assert real.unlink(one, other) == model.unlink(one, other)
        case "watch", watcher, target:
            monitor = real.watch(watcher, target, f"name of {target}")
            assert monitor not in model.made
            model.made.append(monitor)
            model.watches.append(Watch(monitor, watcher, target, f"name of {target}"))
        case "unwatch", number:
            monitor = model.made[number] if number < len(model.made) else Monitor(999 + number)
            assert real.unwatch(monitor) == model.unwatch(monitor)
        case "bury", dead:
            assert real.bury(dead) == model.bury(dead)
        case _:
            raise AssertionError(step)


def compare(real: Relations[str], model: Pairs) -> None:
    """Every question has the same answer in both."""
    assert len(real) == len(model.links) + len(model.watches)
    for one in PARTIES:
        assert real.linked(one) == model.linked(one)
        assert real.watched_by(one) == tuple(w.watcher for w in model.watches if w.target == one)
        assert real.watching(one) == tuple(w.target for w in model.watches if w.watcher == one)


@given(steps)
def test_relations_are_two_lists_of_pairs(script: list[tuple[Any, ...]]) -> None:
    """After any history both ends of every entry say the same, in the order the entries were made."""
    real, model = Relations[str](), Pairs()
    for step in script:
        play(real, model, step)
        compare(real, model)


@given(steps)
def test_a_death_leaves_no_residue(script: list[tuple[Any, ...]]) -> None:
    """When everyone has died nothing is left, and a second death tells nobody anything."""
    real, model = Relations[str](), Pairs()
    for step in script:
        play(real, model, step)
    heard = [watch.monitor for one in PARTIES for watch in real.bury(one).watches]
    assert len(heard) == len(set(heard)) <= len(model.watches)
    assert len(real) == 0
    assert [real.bury(one) for one in PARTIES] == [Mourners((), ())] * len(PARTIES)


@given(st.integers(1, 20), st.integers(0, 20))
def test_links_are_idempotent_and_monitors_are_counted(links: int, watches: int) -> None:
    """Linking many times makes one link; watching many times makes as many monitors, each fired once."""
    relations = Relations[str]()
    for _ in range(links):
        relations.link("a", "b")
        relations.link("b", "a")
    monitors = [relations.watch("a", "b") for _ in range(watches)]
    assert len(relations) == 1 + watches
    told = relations.bury("b")
    assert told.linked == ("a",)
    assert [watch.monitor for watch in told.watches] == monitors
    assert len(relations) == 0


def test_nobody_is_linked_to_oneself() -> None:
    """A link to oneself is a no-op."""
    relations = Relations[str]()
    relations.link("a", "a")
    assert len(relations) == 0
    assert not relations.unlink("a", "a")

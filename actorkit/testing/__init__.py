"""Tests of actors: probes, virtual time, simulation, protocol properties.

Everything public is exported here, and loaded when it is first used: what needs Hypothesis, which freezes trio's own
scheduling when it is imported, stays away from tests that do not.

    kit.py, probe.py   ordinary tests in virtual time: ``open_kit``, or the pytest fixture ``kit``
    simulation/        one test, many schedules: ``@simulate``
    protocol/          a protocol described once, tested five ways: ``Spec``; histories and what they must satisfy
    disk.py, network.py, conformance/   a disk and a network in memory, with faults to order, and what any must pass
    chart.py           what happened, drawn
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from actorkit.testing.chart import mermaid, text_chart
    from actorkit.testing.clock import VirtualClock
    from actorkit.testing.crash import CrashState, crash_states
    from actorkit.testing.disk import Keep, MemoryDisk
    from actorkit.testing.expectations import Caught
    from actorkit.testing.failures import Deadlock, LeftBehind, Misdirected, Unbalanced, Unexpected
    from actorkit.testing.kit import TestKit, open_kit
    from actorkit.testing.network import MemoryNetwork
    from actorkit.testing.platter import edges, every_byte
    from actorkit.testing.probe import Asked, AskedStream, Probe
    from actorkit.testing.protocol.checkers import (
        broadcast,
        counter_bounds,
        grow_only_set,
        pn_counter,
        unique_ids,
    )
    from actorkit.testing.protocol.deliveries import (
        Gone,
        Notified,
        Unwatched,
        Watched,
        at_most_once,
        delivery_order,
        exactly_one_notice,
    )
    from actorkit.testing.protocol.expectations import (
        NO_REPLY,
        Expectation,
        Step,
        Told,
        anything,
        matching,
        refuses,
    )
    from actorkit.testing.protocol.history import Failed, History, Ok, Operation, Refused, Unknown
    from actorkit.testing.protocol.leaves import NoStrategy
    from actorkit.testing.protocol.linearizability import (
        Linearizable,
        NotLinearizable,
        Undecided,
        linearizable,
    )
    from actorkit.testing.protocol.logs import Appends, Polls, Seeks, log
    from actorkit.testing.protocol.model import ProtocolViolated, Restart, transition
    from actorkit.testing.protocol.programs import Programs, programs
    from actorkit.testing.protocol.roles import Adds, Draws, Reads
    from actorkit.testing.protocol.spec import Spec
    from actorkit.testing.protocol.strategies import forget_strategy, messages, register_strategy
    from actorkit.testing.protocol.verdict import Finding, Verdict
    from actorkit.testing.running import run_in_virtual_time
    from actorkit.testing.simulation.faults import (
        Fault,
        InjectedCrash,
        crash_actor,
        custom,
        early_timer,
        kill_actor,
    )
    from actorkit.testing.simulation.fleet import Fleet
    from actorkit.testing.simulation.node_faults import (
        cut,
        delay_link,
        drop_connection,
        kill_node,
        one_way_cut,
        pause_node,
        power_cut_node,
        restart_node,
    )
    from actorkit.testing.simulation.process import NodeGone
    from actorkit.testing.simulation.runner import Outcome
    from actorkit.testing.simulation.search import (
        IncompleteExploration,
        NeverHappened,
        PlanNoLongerMatches,
    )
    from actorkit.testing.simulation.sim import (
        NotConverged,
        Sim,
        UncontrolledNondeterminism,
        Violated,
    )
    from actorkit.testing.simulation.simulate import SimulatedFunction, simulate
    from actorkit.testing.stepper import Livelock, Stepper
    from actorkit.testing.trace import Trace
    from actorkit.testing.trio_internals import UnsupportedTrio

_HOMES = {
    "chart": (
        "mermaid",
        "text_chart",
    ),
    "clock": ("VirtualClock",),
    "crash": (
        "CrashState",
        "crash_states",
    ),
    "disk": (
        "Keep",
        "MemoryDisk",
    ),
    "expectations": ("Caught",),
    "failures": (
        "Deadlock",
        "LeftBehind",
        "Misdirected",
        "Unbalanced",
        "Unexpected",
    ),
    "kit": (
        "TestKit",
        "open_kit",
    ),
    "network": ("MemoryNetwork",),
    "platter": (
        "edges",
        "every_byte",
    ),
    "probe": (
        "Asked",
        "AskedStream",
        "Probe",
    ),
    "protocol.checkers": (
        "broadcast",
        "counter_bounds",
        "grow_only_set",
        "pn_counter",
        "unique_ids",
    ),
    "protocol.deliveries": (
        "Gone",
        "Notified",
        "Unwatched",
        "Watched",
        "at_most_once",
        "delivery_order",
        "exactly_one_notice",
    ),
    "protocol.expectations": (
        "Expectation",
        "NO_REPLY",
        "Step",
        "Told",
        "anything",
        "matching",
        "refuses",
    ),
    "protocol.history": (
        "Failed",
        "History",
        "Ok",
        "Operation",
        "Refused",
        "Unknown",
    ),
    "protocol.leaves": ("NoStrategy",),
    "protocol.linearizability": (
        "Linearizable",
        "NotLinearizable",
        "Undecided",
        "linearizable",
    ),
    "protocol.logs": (
        "Appends",
        "Polls",
        "Seeks",
        "log",
    ),
    "protocol.model": (
        "ProtocolViolated",
        "Restart",
        "transition",
    ),
    "protocol.programs": (
        "Programs",
        "programs",
    ),
    "protocol.roles": (
        "Adds",
        "Draws",
        "Reads",
    ),
    "protocol.spec": ("Spec",),
    "protocol.strategies": (
        "forget_strategy",
        "messages",
        "register_strategy",
    ),
    "protocol.verdict": (
        "Finding",
        "Verdict",
    ),
    "running": ("run_in_virtual_time",),
    "simulation.faults": (
        "Fault",
        "InjectedCrash",
        "crash_actor",
        "custom",
        "early_timer",
        "kill_actor",
    ),
    "simulation.fleet": ("Fleet",),
    "simulation.node_faults": (
        "cut",
        "delay_link",
        "drop_connection",
        "kill_node",
        "one_way_cut",
        "pause_node",
        "power_cut_node",
        "restart_node",
    ),
    "simulation.process": ("NodeGone",),
    "simulation.runner": ("Outcome",),
    "simulation.search": (
        "IncompleteExploration",
        "NeverHappened",
        "PlanNoLongerMatches",
    ),
    "simulation.sim": (
        "NotConverged",
        "Sim",
        "UncontrolledNondeterminism",
        "Violated",
    ),
    "simulation.simulate": (
        "SimulatedFunction",
        "simulate",
    ),
    "stepper": (
        "Livelock",
        "Stepper",
    ),
    "trace": ("Trace",),
    "trio_internals": ("UnsupportedTrio",),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "NO_REPLY",
    "Adds",
    "Appends",
    "Asked",
    "AskedStream",
    "Caught",
    "CrashState",
    "Deadlock",
    "Draws",
    "Expectation",
    "Failed",
    "Fault",
    "Finding",
    "Fleet",
    "Gone",
    "History",
    "IncompleteExploration",
    "InjectedCrash",
    "Keep",
    "LeftBehind",
    "Linearizable",
    "Livelock",
    "MemoryDisk",
    "MemoryNetwork",
    "Misdirected",
    "NeverHappened",
    "NoStrategy",
    "NodeGone",
    "NotConverged",
    "NotLinearizable",
    "Notified",
    "Ok",
    "Operation",
    "Outcome",
    "PlanNoLongerMatches",
    "Polls",
    "Probe",
    "Programs",
    "ProtocolViolated",
    "Reads",
    "Refused",
    "Restart",
    "Seeks",
    "Sim",
    "SimulatedFunction",
    "Spec",
    "Step",
    "Stepper",
    "TestKit",
    "Told",
    "Trace",
    "Unbalanced",
    "UncontrolledNondeterminism",
    "Undecided",
    "Unexpected",
    "Unknown",
    "UnsupportedTrio",
    "Unwatched",
    "Verdict",
    "Violated",
    "VirtualClock",
    "Watched",
    "anything",
    "at_most_once",
    "broadcast",
    "counter_bounds",
    "crash_actor",
    "crash_states",
    "custom",
    "cut",
    "delay_link",
    "delivery_order",
    "drop_connection",
    "early_timer",
    "edges",
    "every_byte",
    "exactly_one_notice",
    "forget_strategy",
    "grow_only_set",
    "kill_actor",
    "kill_node",
    "linearizable",
    "log",
    "matching",
    "mermaid",
    "messages",
    "one_way_cut",
    "open_kit",
    "pause_node",
    "pn_counter",
    "power_cut_node",
    "programs",
    "refuses",
    "register_strategy",
    "restart_node",
    "run_in_virtual_time",
    "simulate",
    "text_chart",
    "transition",
    "unique_ids",
]


def __getattr__(name: str) -> Any:
    home = _HOME_OF.get(name)
    if home is None:
        raise AttributeError(f"module 'actorkit.testing' has no attribute {name!r}")
    return getattr(import_module(f"actorkit.testing.{home}"), name)


def __dir__() -> list[str]:
    return __all__

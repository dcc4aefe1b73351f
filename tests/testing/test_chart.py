"""Sequence charts: what a person sees of a run, to the letter; and what holds whatever the run."""

from __future__ import annotations

import re

import attrs
import pytest

from actorkit.testing.chart import mermaid, text_chart
from actorkit.testing.lifelines import message_text
from actorkit.testing.trace import (
    CLOCK,
    Began,
    Ended,
    FaultApplied,
    Lost,
    Noted,
    Notice,
    Reordered,
)
from tests.testing.traces import Deposit, Read, Story, Write


def _lost_update() -> Story:
    """Two clients read one counter before either writes."""
    story = Story().add(Began, "/counter")
    one = story.ask("client 1", "/counter", Read())
    two = story.ask("client 2", "/counter", Read())
    story.handle(one).answer(one, 0)
    story.at(2).add(Reordered, "/counter", "client 1").handle(two).answer(two, 0)
    story.at(3).round("client 1", "/counter", Write(1), None)
    story.at(4).round("client 2", "/counter", Write(1), None)
    return story.add(Noted, "the counter is 1 after two increments")


LOST_UPDATE = """\
step  client 1            /counter            client 2
   1      ├───── Read() ─────►│                   │
          │                   │○─── #1 Read() ────┤
          │◄╌╌╌╌╌╌╌ 0 ╌╌╌╌╌╌╌╌┤                   │
   2 ~~ /counter ran before client 1, whose turn it was
          │                   ● handles #1 Read() │
          │                   ├╌╌╌╌╌ #1: 0 ╌╌╌╌╌╌►│
   3      ├─ Write(value=1) ─►│                   │
          │◄╌╌╌╌╌╌ None ╌╌╌╌╌╌┤                   │
   4      │                   │◄─ Write(value=1) ─┤
          │                   ├╌╌╌╌╌╌ None ╌╌╌╌╌╌►│
     // the counter is 1 after two increments

──► sent and handled   ──○ waits in the mailbox, ● is handled   ╌╌► reply"""


def _overtaken() -> Story:
    """A read overtakes a write on the network."""
    story = Story()
    write = story.tell("client 1", "/store", Write(5))
    story.at(2).add(Reordered, "client 2 to /store", "client 1 to /store")
    read = story.ask("client 2", "/store", Read())
    return story.handle(read).answer(read, 0).at(3).handle(write)


OVERTAKEN = """\
step  client 1                /store                  client 2
   1      ├─ #1 Write(value=5) ─○│                        │
   2 ~~ client 2 to /store ran before client 1 to /store, whose turn it was
          │                      │◄─ Read() overtakes #1 ─┤
          │                      ├╌╌╌╌╌╌╌╌╌╌ 0 ╌╌╌╌╌╌╌╌╌╌►│
   3      │                      ● handles #1 Write(value=5)

──► sent and handled   ──○ waits in the mailbox, ● is handled   ╌╌► reply"""


def _crash() -> Story:
    """An actor is killed with a request in its mailbox, somebody is told, and it is started again."""
    story = Story().add(Began, "/app").add(Began, "/ledger").add(Began, "/audit")
    story.round("client", "/ledger", Deposit("a", 5), 5)
    lost = story.at(2).ask("client", "/ledger", Deposit("b", 7))
    story.at(3).add(FaultApplied, "kill /ledger").add(Ended, "/ledger", "killed", True)
    story.lose(lost, "the actor died before it handled the message")
    story.answer(lost, RuntimeError("/ledger was killed"))
    story.add(Notice, "/audit", "/ledger", "killed").wait(0.25).wait(0.25)
    story.add(Began, "/ledger").at(4).round("client", "/ledger", Deposit("b", 7), 7)
    for actor in ("/audit", "/ledger", "/app"):
        story.add(Ended, actor, "shutdown", False)
    return story


CRASH = """\
step  client                                /ledger           /audit
   1     ├── Deposit(account='a', cents=5) ───►│                 │
         │◄╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌ 5 ╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌┤                 │
   2     ├─ #1 Deposit(account='b', cents=7) ─○│                 │
   3 ** fault: kill /ledger
     ** /ledger died: killed
         │                                     ✗ #1 is lost: the actor died before it handled the
         │                                     │ message         │
         │◄╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌┤ #1: failed: RuntimeError: /ledger was killed
         │                                     ✗╌ gone: killed ╌►│
     .. 0.5 s later: the clock says 0.5 s
     ++ /ledger started again (incarnation 2)
   4     ├── Deposit(account='b', cents=7) ───►│                 │
         │◄╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌ 7 ╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌┤                 │
     -- /audit, /ledger ended: shutdown

──► sent and handled   ──○ waits in the mailbox, ● is handled   ╌╌► reply   ✗╌► news of a death"""

CRASH_NARROW_ASCII = """\
step  client  /ledger           /audit
   1     +------>| Deposit(account='a', cents=5)
         |<. 5 ..+                 |
   2     +------o| #1 Deposit(account='b', cents=7)
   3 ** fault: kill /ledger
     ** /ledger died: killed
         |       x #1 is lost: the actor died before it
         |       | handled the message
         | #1: failed: RuntimeError: /ledger was killed
         |<......+                 |
         |       x. gone: killed .>|
     .. 0.5 s later: the clock says 0.5 s
     ++ /ledger started again (incarnation 2)
   4     +------>| Deposit(account='b', cents=7)
         |<. 7 ..+                 |
     -- /audit, /ledger ended: shutdown

--> sent and handled
--o waits in the mailbox, * is handled
..> reply
x.> news of a death"""


def _every_sign() -> Story:
    """Messages to oneself, from a timer, lost, and left open."""
    story = Story()
    story.handle(story.tell("/bank", "/bank", Read()))
    story.handle(story.tell(CLOCK, "/bank", Write(1)))
    story.lose(story.tell("client 1", "/bank", Write(2)), "mailbox full")
    story.add(Lost, None, "/bank", Write(3), "closed")
    story.ask("client 1", "/bank", Write(4))
    return story


EVERY_SIGN = """\
step  /bank                                client 1
   1    │◄ Read() from itself                  │
        │◄ Write(value=1) from its timer       │
        │✗─ Write(value=2) lost: mailbox full ─┤
        ✗ Write(value=3) is lost: closed       │
        │○───────── #1 Write(value=4) ─────────┤
     ?? client 1 still waits for /bank to answer #1 Write(value=4)

──► sent and handled   ──○ waits in the mailbox, ● is handled   ──✗ is lost"""


def _deep() -> Story:
    """Long paths, wide characters, a long message, and one who comes and goes."""
    left, right = "/app/cluster/left/worker", "/app/cluster/right/worker"
    bank = "/some/place/that/is/deep/in/the/tree/bank"
    story = Story()
    story.round(left, right, Deposit("x" * 30, 1), None)
    story.at(2).round(right, bank, Deposit("預金", 1), "口座")
    story.at(3).handle(story.tell(bank, right, Deposit("y" * 80, 1)))
    story.at(4).add(Began, "/late").round("client 1", "/late", Read(), 1)
    return story.add(Ended, "/late", "normal", False)


DEEP = """\
     left/worker is /app/cluster/left/worker
     right/worker is /app/cluster/right/worker
     bank is /some/place/that/is/deep/in/the/tree/bank
step  left/worker  right/worker                              bank  client 1      /late
   1       ├────────────►│ Deposit(account='xxxxxxxxxxxxxxxxxxxxxxxxxxxxxx', cents=1)
           │◄╌╌╌ None ╌╌╌┤                                     │       │
   2       │             ├─ Deposit(account='預金', cents=1) ─►│       │
           │             │◄╌╌╌╌╌╌╌╌╌╌╌╌╌╌ '口座' ╌╌╌╌╌╌╌╌╌╌╌╌╌╌┤       │
   3       │             │ Deposit(account='yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy…
           │             │◄────────────────────────────────────┤       │
   4 ++ /late started
           │             │                                     │       ├─ Read() ─►│
           │             │                                     │       │◄╌╌╌ 1 ╌╌╌╌┤
     -- /late ended: normal

──► sent and handled   ╌╌► reply"""


def _eight() -> Story:
    """Seven clients of one bank."""
    story = Story()
    for number in range(1, 8):
        story.at(number).round(f"client {number}", "/bank", Write(number), None)
    return story


EIGHT = """\
step  client 1    /bank   client 2  client 3  client 4  client 5  client 6  client 7
   1      ├────────►│ Write(value=1)    │         │         │         │         │
          │◄╌ None ╌┤         │         │         │         │         │         │
   2      │         │◄────────┤ Write(value=2)    │         │         │         │
          │         ├╌ None ╌►│         │         │         │         │         │
   3      │         │◄─ Write(value=3) ─┤         │         │         │         │
          │         ├╌╌╌╌╌╌ None ╌╌╌╌╌╌►│         │         │         │         │
   4      │         │◄────── Write(value=4) ──────┤         │         │         │
          │         ├╌╌╌╌╌╌╌╌╌╌╌ None ╌╌╌╌╌╌╌╌╌╌╌►│         │         │         │
   5      │         │◄─────────── Write(value=5) ───────────┤         │         │
          │         ├╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌ None ╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌►│         │         │
   6      │         │◄──────────────── Write(value=6) ────────────────┤         │
          │         ├╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌ None ╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌►│         │
   7      │         │◄───────────────────── Write(value=7) ─────────────────────┤
          │         ├╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌ None ╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌►│

──► sent and handled   ╌╌► reply"""


def _crowd() -> Story:
    """More participants than there are columns for."""
    story = Story()
    for number in range(1, 4):
        story.at(number).round(f"the client with number {number}", f"/bank {number}", Read(), 0)
    return story.add(Notice, "/bank 1", "/bank 2", "killed").add(Noted, "enough")


CROWD = """\
   1  the client with number 1 ──► /bank 1: Read()
      /bank 1 ╌╌► the client with number 1: 0
   2  the client with number 2 ──► /bank 2: Read()
      /bank 2 ╌╌► the client with number 2: 0
   3  the client with number 3 ──► /bank 3: Read()
      /bank 3 ╌╌► the client with number 3: 0
      /bank 2 ✗╌► /bank 1: gone: killed
     // enough

──► sent and handled   ╌╌► reply   ✗╌► news of a death"""


@pytest.mark.parametrize(
    ("chart", "story"),
    [
        (LOST_UPDATE, _lost_update()),
        (OVERTAKEN, _overtaken()),
        (CRASH, _crash()),
        (EVERY_SIGN, _every_sign()),
        (DEEP, _deep()),
        (EIGHT, _eight()),
    ],
)
def test_a_chart_looks_like_this(chart: str, story: Story) -> None:
    """The charts above, letter by letter."""
    assert text_chart(story.trace) == chart


def test_a_narrow_chart_looks_like_this() -> None:
    """Without room on the arrows their texts stand beside them, and without room for columns there is a list."""
    assert text_chart(_crash().trace, width=60, unicode=False) == CRASH_NARROW_ASCII
    assert text_chart(_crowd().trace, width=60) == CROWD


MERMAID = """\
sequenceDiagram
    participant p1 as client
    participant p2 as /ledger
    participant p3 as /audit
    p1->>p2: Deposit(account='a', cents=5)
    p2-->>p1: 5
    p1-)p2: #35;1 Deposit(account='b', cents=7)
    Note over p1,p3: fault#58; kill /ledger
    Note over p1,p3: /ledger died#58; killed
    Note over p2: #35;1 is lost#58; the actor died before it handled the message
    p2-->>p1: #35;1#58; failed#58; RuntimeError#58; /ledger was killed
    p2--)p3: gone#58; killed
    Note over p1,p3: 0.5 s later#58; the clock says 0.5 s
    Note over p1,p3: /ledger started again (incarnation 2)
    p1->>p2: Deposit(account='b', cents=7)
    p2-->>p1: 7
    Note over p1,p3: /audit, /ledger ended#58; shutdown
"""


def test_a_mermaid_chart_looks_like_this() -> None:
    """Participants have aliases, and whatever could be syntax is a character code."""
    assert mermaid(_crash().trace) == MERMAID
    assert mermaid(()) == "sequenceDiagram\n    participant p1 as nobody\n"


def test_the_example_in_the_documentation_is_drawn_like_that() -> None:
    """The chart in the module's docstring is what comes out, its explanations apart."""
    import actorkit.testing.chart as module

    story = Story().round("client 1", "/counter", Read(), 0)
    add = story.at(2).tell("client 1", "/counter", Add())
    story.wait(2).at(3).handle(add).add(Ended, "/counter", "killed", True)
    drawn = text_chart(story.trace).splitlines()
    shown = [line for line in (module.__doc__ or "").splitlines() if line.startswith("    ")]
    explained = [re.split(r"(?<=\S) {4,}(?=[a-z.])", line[4:])[0] for line in shown]
    assert drawn[: len(shown)] == explained


def test_the_last_events_are_enough() -> None:
    """`last` keeps so many events, says how many are left out, and still knows what was sent and who is dead."""
    trace = list(_crash().trace)
    died = next(place for place, event in enumerate(trace) if isinstance(event, Lost))
    chart = text_chart(trace, last=len(trace) - died)
    assert chart.startswith(f"... {died} earlier events are left out ...\n")
    assert "Deposit(account='b', cents=7) is lost" in chart
    header, first, *_ = chart.splitlines()[1:]
    assert "│" not in first[: header.index("/ledger") + 8], "/ledger is dead when the chart begins"
    assert "started again (incarnation 2)" in chart
    assert text_chart(trace, last=len(trace)) == text_chart(trace) == CRASH
    assert "1 earlier event is left out" in mermaid(trace, last=len(trace) - 1)


def test_what_was_sent_before_the_chart_begins_is_told_with_its_sender() -> None:
    """A message whose sending is left out names who sent it when it is handled."""
    story = Story()
    story.handle(story.tell("client 1", "/bank", Write(7)))
    assert "● handles Write(value=7) from client 1" in text_chart(story.trace, last=1)


def test_focus_keeps_what_somebody_has_part_in() -> None:
    """`focus` leaves out the messages of the others, but nobody's death, and nothing that is everybody's."""
    chart = text_chart(_crash().trace, focus={"/audit"})
    assert "client" not in chart
    assert "/ledger died" in chart
    assert "fault: kill /ledger" in chart
    assert text_chart(_crash().trace, focus={"/audit", "client"}) == CRASH


def test_who_does_nothing_has_no_lifeline() -> None:
    """Supervisors that only start and end are not in the chart, unless they die of something."""
    story = Story().add(Began, "/app").round("client", "/bank", Read(), 1).add(Began, "/idle")
    story.add(Ended, "/app", "shutdown", False)
    assert "/app" not in text_chart(story.trace)
    assert "/idle" not in text_chart(story.trace)
    story.add(Ended, "/idle", "crashed (ValueError: no)", True)
    assert "** /idle died: crashed (ValueError: no)" in text_chart(story.trace)


def test_the_header_comes_again() -> None:
    """A long chart repeats who is who after every forty lines."""
    story = Story()
    for step in range(60):
        story.at(step).round("client 1", "/bank", Read(), step)
    headers = [n for n, line in enumerate(text_chart(story.trace).splitlines()) if "step" in line]
    assert headers == [0, 41, 82]


def test_replies_that_could_be_mixed_up_are_numbered() -> None:
    """Of two asks that are open together, each reply says which one it answers."""
    story = Story()
    one, two = (story.ask("client 1", "/bank", Read()) for _ in range(2))
    story.handle(one, two).answer(two, "b").answer(one, "a")
    chart = text_chart(story.trace)
    assert "#2: 'b'" in chart
    assert "#1: 'a'" in chart


def test_many_open_asks_are_counted() -> None:
    """A deadlock of many shows some of those who wait, and how many more there are."""
    story = Story()
    for number in range(9):
        story.handle(story.ask(f"client {number}", "/bank", Read()))
    chart = text_chart(story.trace)
    assert "?? client 0 still waits for /bank to answer Read()" in chart
    assert "?? and 3 more wait" in chart


def test_several_who_are_overtaken_are_named() -> None:
    """A message that overtakes many names the first of them."""
    story = Story()
    slow = [story.tell(f"client {n}", "/bank", Write(n)) for n in range(5)]
    story.handle(story.tell("client 9", "/bank", Read()), *slow)
    assert "Read() overtakes #1 #2 #3 and others" in text_chart(story.trace)


@pytest.mark.parametrize("bad", [{"width": 39}, {"last": 0}, {"last": -5}])
def test_a_chart_without_room_is_refused(bad: dict[str, int]) -> None:
    """The error names the value and the bound."""
    with pytest.raises(ValueError, match=rf"at least (40|1), got {next(iter(bad.values()))}"):
        text_chart((), **bad)  # type: ignore[arg-type]


def test_an_empty_trace_says_so() -> None:
    """No chart is not an empty page."""
    assert text_chart(()) == "nothing happened"


class Add:
    """A message with a short repr."""

    def __repr__(self) -> str:
        return "Add(1)"


class Plain:
    """A message without a repr of its own."""


class Loud:
    """A message whose repr fails."""

    def __repr__(self) -> str:
        raise RuntimeError("no")


def test_messages_are_told_without_noise() -> None:
    """No module, no enclosing function, no address, no line break; a repr that fails does no harm."""
    inner = attrs.make_class("Inner", ["x"])
    inner.__qualname__ = "test_it.<locals>.Outer.Inner"
    told = message_text([inner(1)])
    assert message_text(Plain()) == "<tests.testing.test_chart.Plain object>"
    assert message_text("a\nb") == r"'a\nb'"
    assert told == "[Outer.Inner(x=1)]"
    assert message_text(Loud()) == "<Loud: its repr raised RuntimeError>"
    assert message_text("x" * 1000, 10) == "'xxxxxxxx…"

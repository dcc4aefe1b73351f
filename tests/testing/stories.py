"""Small runs, and the charts they make."""

from __future__ import annotations

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


def lost_update() -> Story:
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


def overtaken() -> Story:
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


def crash() -> Story:
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


def every_sign() -> Story:
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


def deep() -> Story:
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


def eight() -> Story:
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


def crowd() -> Story:
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

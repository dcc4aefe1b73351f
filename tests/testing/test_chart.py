"""Sequence charts: what a person sees of a run, to the letter."""

from __future__ import annotations

import re

import attrs
import pytest

from actorkit.testing.chart import mermaid, text_chart
from actorkit.testing.lifelines import message_text
from actorkit.testing.trace import Began, Ended, Lost
from tests.testing.stories import (
    CRASH,
    CRASH_NARROW_ASCII,
    CROWD,
    DEEP,
    EIGHT,
    EVERY_SIGN,
    LOST_UPDATE,
    MERMAID,
    OVERTAKEN,
    crash,
    crowd,
    deep,
    eight,
    every_sign,
    lost_update,
    overtaken,
)
from tests.testing.traces import Deposit, Read, Story, Write


@pytest.mark.parametrize(
    ("chart", "story"),
    [
        (LOST_UPDATE, lost_update()),
        (OVERTAKEN, overtaken()),
        (CRASH, crash()),
        (EVERY_SIGN, every_sign()),
        (DEEP, deep()),
        (EIGHT, eight()),
    ],
)
def test_a_chart_looks_like_this(chart: str, story: Story) -> None:
    """The runs in `stories` make the charts beside them, letter by letter."""
    assert text_chart(story.trace) == chart


def test_a_narrow_chart_looks_like_this() -> None:
    """Without room on the arrows their texts stand beside them, and without room for columns there is a list."""
    assert text_chart(crash().trace, width=60, unicode=False) == CRASH_NARROW_ASCII
    assert text_chart(crowd().trace, width=60) == CROWD


def test_a_mermaid_chart_looks_like_this() -> None:
    """Participants have aliases, and whatever could be syntax is a character code."""
    assert mermaid(crash().trace) == MERMAID
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
    trace = list(crash().trace)
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
    chart = text_chart(crash().trace, focus={"/audit"})
    assert "client" not in chart
    assert "/ledger died" in chart
    assert "fault: kill /ledger" in chart
    assert text_chart(crash().trace, focus={"/audit", "client"}) == CRASH


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


@pytest.mark.parametrize("died", [False, True])
def test_who_is_gone_overtakes_nobody_and_is_not_overtaken(died: bool) -> None:
    """A message that was lost, or died with its receiver, is not waited for any more."""
    story = Story()
    slow = story.tell("client 1", "/bank", Write(1))
    story.wait(1)
    if died:
        story.add(Ended, "/bank", "killed", True).add(Began, "/bank")
    else:
        story.lose(slow, "dropped as the oldest of a full mailbox")
    assert "overtakes" not in text_chart(story.round("client 2", "/bank", Read(), 0).trace)


def test_nobody_is_said_to_be_overtaken_on_half_the_evidence() -> None:
    """A message whose sending is left out may have been sent first."""
    story = Story()
    early = story.tell("client 1", "/bank", Write(1))
    story.tell("client 2", "/bank", Write(2))
    story.handle(early)
    assert "overtakes" not in text_chart(story.trace, last=2)


def test_the_dead_have_no_lifeline() -> None:
    """A lifeline stops with a death and goes on with the next incarnation."""
    story = Story().round("client 1", "client 2", Read(), 0).round("client 1", "/bank", Read(), 0)
    story.add(Ended, "/bank", "killed", True).round("client 1", "client 2", Read(), 0)
    story.add(Began, "/bank").round("client 1", "client 2", Read(), 0)
    header, *lines = text_chart(story.trace).splitlines()
    rows = [line for line in lines[:10] if "/bank" not in line]
    column = header.index("/bank") + len("/bank") // 2
    assert [line[column : column + 1] for line in rows] == ["│", "│", "│", "┤", "", "", "│", "│"]
    assert "     ++ /bank started again (incarnation 2)" in lines


def test_who_died_before_the_chart_begins_has_no_lifeline() -> None:
    """Messages to the dead are drawn to where nobody is."""
    story = Story().add(Ended, "/bank", "killed", True)
    story.round("client 1", "client 2", Read(), 0)
    story.lose(story.tell("client 2", "/bank", Write(1)), "no such actor")
    chart = text_chart(story.trace, last=5).splitlines()
    column = chart[1].index("/bank") + len("/bank") // 2
    assert [line[column : column + 1] for line in chart[2:5]] == ["", "", ""]


def test_the_idle_who_die_are_seen_to_come_back() -> None:
    """A death is told even of who did nothing else, and so is the start after it."""
    story = Story().add(Began, "/idle").round("client 1", "/bank", Read(), 0)
    story.add(Ended, "/idle", "killed", True).add(Began, "/idle")
    assert "++ /idle started again (incarnation 2)" in text_chart(story.trace)


def test_those_who_end_alike_share_a_line() -> None:
    """Each reason has its own line, with everybody who ended so."""
    story = Story().round("/a", "/b", Read(), 0).round("/c", "/b", Read(), 0)
    for actor, reason in (("/a", "normal"), ("/b", "normal"), ("/c", "shutdown")):
        story.add(Ended, actor, reason, False)
    chart = text_chart(story.trace)
    assert "-- /a, /b ended: normal\n" in chart
    assert "-- /c ended: shutdown\n" in chart


def test_long_texts_are_cut_visibly() -> None:
    """An ellipsis says that there was more, in ASCII too."""
    story = Story().round("client 1", "client 2", Deposit("a" * 90, 1), None)
    for width in (40, 60, 100):
        assert re.search(r" Deposit\(account='a+…", text_chart(story.trace, width=width))
        assert "a~" in text_chart(story.trace, width=width, unicode=False)


def test_at_the_right_edge_texts_stand_on_the_left() -> None:
    """What happens to the last participant is told in full where there is room."""
    story = Story()
    for number in range(1, 7):
        story.round(f"client {number}", "client 9", Read(), 0)
    story.add(Lost, None, "/bank", Write(1), "the actor died before it handled the message")
    chart = text_chart(story.trace, width=90)
    assert "Write(value=1) is lost: the actor died before it handled the message ✗" in chart


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

"""What people see: frames that fit their terminal, and lines that fit a log."""

from __future__ import annotations

import io
from collections.abc import Iterator

import attrs
import pytest
import trio
from rich.console import Console

from actorkit.demo.messages import Standing
from actorkit.demo.show import FRAMES_PER_SECOND, LivePicture, PlainLines, picture
from actorkit.demo.watch import View, news, plain_line
from actorkit.observe.census import Incident
from actorkit.observe.rows import Row

_ROWS = (
    Row(0, "study", "Supervisor", "running"),
    Row(1, "reader-1", "Reader", "running", 1234, 2, 3, "killed", False, True, "a\x1b[2Jb.py"),
    Row(1, "reader-2", "", "down", 5, 0, 0, "crashed: \x07boom", False, False),
)
_VIEW = View(
    elapsed=2.5,
    began=100.0,
    standing=Standing(30, 40, 7),
    kills=(3, 25),
    deaths={"killed": 3, "shut down": 1},
    restarts=4,
    handled=5000,
    rate=1234.5,
    dead_letters=6,
    rows=_ROWS,
    incidents=tuple(Incident(100.0 + n / 10, f"/study/r{n}", "killed") for n in range(20)),
)


def _drawn(width: int, height: int, view: View = _VIEW) -> list[str]:
    console = Console(file=io.StringIO(), width=width, height=height, force_terminal=False)
    with console.capture() as capture:
        console.print(picture(view, height))
    return capture.get().rstrip("\n").split("\n")


@pytest.mark.parametrize(("width", "height"), [(80, 24), (130, 50), (60, 12), (200, 100)])
def test_a_frame_fits_its_terminal(width: int, height: int) -> None:
    """No line is wider, and there are not more of them; the latest incidents are those that are shown."""
    lines = _drawn(width, height)
    assert len(lines) < height
    assert max(map(len, lines)) <= width
    assert [line for line in lines if "/study/r19 killed" in line]


def test_a_frame_shows_who_works_and_who_died() -> None:
    """Progress, kills, restarts, and for each actor what it does and why the last one died."""
    text = "\n".join(_drawn(130, 40))
    for shown in (
        "75%",
        "kills 3 of 25",
        "deaths 4",
        "restarts 4",
        "messages/s 1,234",
        "asked again 7",
    ):
        assert shown in text
    (reader,) = [line for line in _drawn(130, 40) if "● reader-1" in line]
    assert reader.split() == ["●", "reader-1", "a\\x1b[2Jb.py", "1,234", "2", "3", "killed"]
    assert [line for line in _drawn(130, 40) if "✗ reader-2" in line]


def test_nothing_shown_can_move_the_cursor() -> None:
    """What actors say, and what they died of, is escaped."""
    assert all(line.isprintable() for line in _drawn(130, 40))


def test_a_plain_line_holds_the_figures() -> None:
    """One line, with what a log needs."""
    assert plain_line(_VIEW) == (
        "  2.5 s   75% done  kills 3 of 25  4 deaths  4 restarts  1,234 messages/s  6 dead letters"
    )


_ON_NODES = attrs.evolve(_VIEW, node_kills=(1, 2), nodes={"worker-1": None, "worker-2": 1})


def test_a_plain_line_tells_of_nodes() -> None:
    """How many of them were killed, and how many readers live on each, if there are several."""
    line = plain_line(_ON_NODES)
    assert "kills 3 of 25  node kills 1 of 2  4 deaths" in line
    assert line.endswith("6 dead letters  worker-1 down  worker-2 1 reader")


@pytest.mark.parametrize(("width", "height"), [(80, 24), (200, 100)])
def test_a_frame_tells_of_nodes(width: int, height: int) -> None:
    """The same in the picture, which fits its terminal still."""
    lines = _drawn(width, height, _ON_NODES)
    assert len(lines) < height
    assert [line for line in lines if "worker-1 down   worker-2 1 reader" in line]


def test_news_are_what_is_new() -> None:
    """The last three incidents after a moment, and how many others there were."""
    assert news(_VIEW.incidents, 101.9) == ""
    assert news(_VIEW.incidents, 101.75) == "/study/r18 killed; /study/r19 killed"
    assert news(_VIEW.incidents, 101.45).startswith("2 more; /study/r17 killed; ")


def _steps(count: int) -> Iterator[float]:
    for step in range(count):
        yield step / count


async def test_a_live_picture_leaves_the_terminal_as_it_was() -> None:
    """The cursor is hidden while frames are drawn and shown again after, even when it is cancelled."""
    screen = io.StringIO()
    show = LivePicture(Console(file=screen, force_terminal=True, width=100, height=30))
    looks: list[float] = []

    def look() -> View:
        looks.append(trio.current_time())
        return attrs.evolve(_VIEW, elapsed=float(len(looks)))

    with trio.move_on_after(1.0):
        await show.follow(look)
    assert FRAMES_PER_SECOND <= len(looks) <= FRAMES_PER_SECOND + 2
    text = screen.getvalue()
    assert text.count("\x1b[?25l") == text.count("\x1b[?25h") == 1
    assert f"{len(looks):.1f} s" in text
    show.say("after [bold]")
    assert screen.getvalue().endswith("after [bold]\n")


async def test_progress_is_drawn_to_its_end() -> None:
    """The bar ends at the whole, whatever the steps said."""
    screen = io.StringIO()
    await LivePicture(Console(file=screen, force_terminal=True, width=100)).progress("T", _steps(9))
    assert "T" in screen.getvalue()
    assert "100%" in screen.getvalue()


async def test_plain_progress_takes_every_step() -> None:
    """One line, and all steps are taken."""
    lines: list[str] = []
    taken: list[float] = []

    def steps() -> Iterator[float]:
        for step in _steps(5):
            taken.append(step)
            yield step

    await PlainLines(lines.append).progress("The same", steps())
    assert (lines, taken) == (["The same ..."], list(_steps(5)))

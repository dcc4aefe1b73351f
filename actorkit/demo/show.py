"""The two ways to show the demo at work: a live picture on a terminal, plain lines elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Protocol

import trio
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from actorkit.demo.watch import View, kills_in_words, news, nodes_in_words, plain_line
from actorkit.observe.screen import incident_lines, tree_table
from actorkit.observe.text import printable

FRAMES_PER_SECOND = 8
LINES_PER_SECOND = 1
_BESIDES_INCIDENTS = 6  # lines of a picture that are neither tree nor incidents


class Show(Protocol):
    """Somewhere to show things."""

    def say(self, text: str, /) -> None:
        """Write a line."""
        ...

    async def follow(self, look: Callable[[], View]) -> None:
        """Show the crew at work until cancelled, and once more then."""
        ...

    async def progress(self, title: str, steps: Iterator[float]) -> None:
        """Take steps, each of which tells the share that is done, and show how far they have come."""
        ...


class PlainLines:
    """One line now and then, written with ``write``."""

    def __init__(self, write: Callable[[str], None]) -> None:
        self.say = write

    async def follow(self, look: Callable[[], View]) -> None:
        """Write a line a second."""
        told = -1.0
        while True:
            await trio.sleep(1 / LINES_PER_SECOND)
            view = look()
            told = max(told, view.began)
            what = news(view.incidents, told)
            told = view.began + view.elapsed
            self.say(plain_line(view) + (f"  [{printable(what)}]" if what else ""))

    async def progress(self, title: str, steps: Iterator[float]) -> None:
        """Write a line at the beginning."""
        self.say(f"{title} ...")
        for _ in steps:
            await trio.lowlevel.checkpoint()


class LivePicture:
    """A picture of the tree, redrawn in place."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def say(self, text: str, /) -> None:
        """Write a line."""
        self._console.print(Text(text), soft_wrap=True)

    async def follow(self, look: Callable[[], View]) -> None:
        """Redraw several times a second."""
        with self._live() as live:
            try:
                while True:
                    live.update(picture(look(), self._console.height), refresh=True)
                    await trio.sleep(1 / FRAMES_PER_SECOND)
            finally:
                live.update(picture(look(), self._console.height), refresh=True)

    async def progress(self, title: str, steps: Iterator[float]) -> None:
        """Draw a bar."""
        drawn = -1.0
        with self._live() as live:
            for share in steps:
                await trio.lowlevel.checkpoint()
                now = trio.current_time()
                if now - drawn >= 1 / FRAMES_PER_SECOND:
                    drawn = now
                    live.update(_bar(title, share), refresh=True)
            live.update(_bar(title, 1.0), refresh=True)

    def _live(self) -> Live:
        """A picture that is redrawn when it is told to, and that leaves the terminal as it was."""
        return Live(
            console=self._console, auto_refresh=False, redirect_stdout=False, redirect_stderr=False
        )


def picture(view: View, height: int) -> RenderableType:
    """One frame: how far the work is, the tree, and as many incidents as there is room for."""
    counts = Text.assemble(
        f"{view.elapsed:.1f} s   ",
        ("   ".join(kills_in_words(view)), "red"),
        f"   deaths {sum(view.deaths.values()):,}   ",
        (f"restarts {view.restarts:,}", "green"),
        f"   messages/s {view.rate:,.0f}   dead letters {view.dead_letters:,}",
        f"   asked again {view.standing.repeated:,}",
        no_wrap=True,
        overflow="ellipsis",
    )
    room = max(0, height - len(view.rows) - _BESIDES_INCIDENTS)
    last = view.incidents[-room:] if room else ()
    return Group(
        _bar("the crew at work", view.standing.share),
        counts,
        Text("   ".join(nodes_in_words(view)), "cyan", no_wrap=True, overflow="ellipsis"),
        Text(),
        tree_table(view.rows),
        incident_lines(last, view.began),
    )


def _bar(title: str, share: float) -> RenderableType:
    line = Table.grid(padding=(0, 2, 0, 0), expand=True)
    line.add_column(no_wrap=True)
    line.add_column(ratio=1)
    line.add_column(no_wrap=True, justify="right")
    line.add_row(
        Text(title, "bold"),
        ProgressBar(total=1.0, completed=share, complete_style="cyan", finished_style="green"),
        f"{share:4.0%}",
    )
    return line

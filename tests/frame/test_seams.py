"""Nothing but the seams reaches out of the program, and the lint that holds it can see what does."""

from __future__ import annotations

from pathlib import Path

import pytest

import actorkit
from tests.frame.effects import SEEDED, Allowed, effect_faults, kind_of, touches_of

PACKAGE = Path(actorkit.__file__).parent

# What a simulation cannot control must not be there. Who may reach out all the same, in which one way, and why.
ALLOWED = (
    # Each seam touches its own part of the world, and no other.
    Allowed("seams/clock.py", "time", "the real clock"),
    Allowed("seams/entropy.py", "chance", "the real dice"),
    Allowed("seams/offload.py", "threads", "the real threads"),
    Allowed("seams/transport.py", "sockets", "the real network"),
    Allowed("seams/disk.py", "files", "the real disk"),
    Allowed(
        "seams/transport.py", "files", "a socket is read and written at once by its descriptor"
    ),
    # The kernel, where it is the point.
    Allowed("kernel/dispatcher.py", "time", "a carrier's slice is measured on trio's own clock"),
    Allowed("kernel/portal.py", "threads", "it is the door for threads and for asyncio"),
    Allowed("kernel/watchdog.py", "threads", "only a thread sees that trio's own is stuck"),
    # What is run by tests, inside trio runs whose clock and order are theirs already.
    Allowed("testing/*", "time", "trio's clock, which is virtual there"),
    Allowed("testing/*", SEEDED, "the same dice for the same seed"),
    Allowed(
        "testing/clock.py", "threads", "it asks whether worker threads are busy before it jumps"
    ),
    Allowed("testing/stepper.py", "threads", "a queue between trio as a guest and its host"),
    Allowed("testing/stepper.py", "files", "where trio's source is, for tracebacks"),
    Allowed("testing/waiting.py", "files", "whose source a frame belongs to; none is opened"),
    Allowed("testing/simulation/drawn.py", "chance", "hands over Random, to be seeded"),
    Allowed(
        "testing/simulation/search.py", "chance", "draws the seed that nobody gave, and prints it"
    ),
    Allowed("testing/simulation/simulate.py", "files", "how pytest calls a test, seen from here"),
    Allowed("testing/simulation/simulate.py", "environment", "what `actorkit replay` asks for"),
    # Nodes and their processes.
    Allowed(
        "cluster/keys.py", "files", "owner, mode and links of key files, where a Disk is blind"
    ),
    Allowed("cluster/keys.py", "environment", "where the user's key file is"),
    Allowed("cluster/tls.py", "files", "says which certificate file cannot be read"),
    Allowed("cluster/secure.py", "sockets", "TLS contexts; it opens no socket"),
    Allowed("cluster/tls.py", "sockets", "TLS contexts; it opens no socket"),
    Allowed(
        "launch/*", "environment", "a process is given one, and people set what they like to see"
    ),
    Allowed("launch/*", "files", "pipes, descriptors, and where a launch keeps its state"),
    Allowed("launch/*", "threads", "signals, processes, and a thread for what blocks"),
    Allowed("launch/*", "time", "processes live in real time"),
    Allowed("launch/logs.py", "sockets", "waits until a slow terminal takes more"),
    # Programs for people.
    Allowed("cli/*", "files", "a command line has arguments that are files, and an output"),
    Allowed("cli/*", "environment", "what it tells the tests that it runs"),
    Allowed("cli/demo.py", "chance", "a different demo every time, unless a seed is given"),
    Allowed("cli/*", "threads", "commands end in good order on signals, and send them"),
    Allowed("cli/*", "time", "tells people how long something has been up"),
    Allowed("demo/*", "files", "its job is to read source files and to write a report"),
    Allowed("demo/*", "time", "it tells people how long it took"),
    Allowed("demo/reading.py", "threads", "it parses in a thread of limited stack"),
    Allowed("demo/job.py", SEEDED, "its saboteur repeats itself"),
)


def test_only_the_seams_reach_out() -> None:
    """Time, chance, sockets, files, threads and the environment are touched where it is allowed, and the list is current."""
    assert effect_faults(PACKAGE, ALLOWED) == []


def test_every_permission_has_its_reason() -> None:
    """Nobody may reach out without a word, and nobody has the same permission twice."""
    assert all(allowed.reason for allowed in ALLOWED)
    assert len({(allowed.files, allowed.kind) for allowed in ALLOWED}) == len(ALLOWED)


# The lint itself --------------------------------------------------------------------------------------------------


def found(tmp_path: Path, source: str) -> list[str]:
    """The kinds of what a module with this source touches, in order."""
    package = tmp_path / "house"
    package.mkdir(exist_ok=True)
    (package / "room.py").write_text(source, "utf-8")
    return [touch.kind for touch in touches_of(package)]


@pytest.mark.parametrize(
    ("source", "kind"),
    [
        ("import time\nstart = time.monotonic()", "time"),
        ("import time as clock\nclock.sleep(1)", "time"),
        ("from time import perf_counter as now\nbegan = now()", "time"),
        ("import datetime\ndatetime.datetime.now()", "time"),
        ("from datetime import datetime\ndatetime.now()", "time"),
        ("from datetime import date\ndate.today()", "time"),
        ("import trio\ntrio.current_time()", "time"),
        ("from trio import current_time\ncurrent_time()", "time"),
        ("import random\nrandom.random()", "chance"),
        ("import random\nrng = random.Random()", "chance"),
        ("from random import Random\nmake = Random", "chance"),
        ("import secrets\nsecrets.token_hex()", "chance"),
        ("import uuid\nuuid.uuid4()", "chance"),
        ("from uuid import uuid4\nids = map(uuid4, [])", "chance"),
        ("import os\nos.urandom(4)", "chance"),
        ("import socket\nsocket.socket()", "sockets"),
        ("import trio\nasync def f(): await trio.open_tcp_stream('h', 1)", "sockets"),
        ("import trio\ntrio.socket.socket()", "sockets"),
        ("text = open('f').read()", "files"),
        ("import io\nio.open('f')", "files"),
        ("import os\nos.unlink('f')", "files"),
        ("import os.path\nos.path.exists('f')", "files"),
        ("from pathlib import Path\nPath('f')", "files"),
        ("import pathlib\npathlib.Path('f')", "files"),
        ("def save(path): path.write_text('x')", "files"),
        ("import tempfile\ntempfile.mkdtemp()", "files"),
        ("import trio\nasync def f(): await trio.open_file('f')", "files"),
        ("import threading\nthreading.Thread()", "threads"),
        ("import subprocess\nsubprocess.run(['ls'])", "threads"),
        ("import trio\nasync def f(): await trio.to_thread.run_sync(print)", "threads"),
        ("def late():\n    import asyncio\n    asyncio.run(f())", "threads"),
        ("import os\nhome = os.environ['HOME']", "environment"),
        ("import random\nrandom.Random(7)", SEEDED),
        ("from random import Random\nrng = Random(seed=7)", SEEDED),
        ("from random import Random\ndef f(rng: Random = Random(7)): ...", SEEDED),
        ("from time import *", "time"),
        ("class C:\n    import time\n    now = time.time", "time"),
        ("import time\n@time.register\ndef f(): ...", "time"),
        ("import time\nf(key=lambda: time.time())", "time"),
        ("import time\nx: float = time.time()", "time"),
    ],
)
def test_whatever_reaches_out_is_found(tmp_path: Path, source: str, kind: str) -> None:
    """However it is spelled and wherever it hides, it is found once."""
    assert found(tmp_path, source) == [kind]


@pytest.mark.parametrize(
    "source",
    [
        "import trio\nasync def f(): await trio.sleep(1)",
        "import trio\ntrio.fail_after(1)\ntrio.lowlevel.checkpoint()",
        "from random import Random\ndef f(rng: Random) -> float: return rng.random()",
        "from pathlib import Path\nwhere: Path",
        "from pathlib import PurePosixPath\nPurePosixPath('f').name",
        "from datetime import datetime, timedelta\nlong = timedelta(days=1)\nthen = datetime(2026, 1, 1)",
        "import uuid\nuuid.UUID('0' * 32)",
        "import os\nos.fspath(p)\ndef f(p: os.PathLike[str]): ...",
        "disk.open('f')\nself.random()\nfile.read()",
        "class Disk:\n    def open(self, name): ...",
        "def f(time): return time.time()",
        "from house import time\ntime.time()",
        "from .random import roll\nroll()",
        "import threading\nthreading.get_ident()",
    ],
)
def test_what_reaches_nowhere_is_left_alone(tmp_path: Path, source: str) -> None:
    """Waiting on trio, annotations, pure values, and others' methods of the same names are no fault."""
    assert found(tmp_path, source) == []


def test_a_fault_tells_where_and_what(tmp_path: Path) -> None:
    """File, line, kind and the name as it is meant, whatever it was called."""
    found(tmp_path, "import time as t\n\nnow = t.time()")
    assert effect_faults(tmp_path / "house", ()) == ["room.py:3 touches time: time.time"]


def test_a_permission_is_for_one_kind_and_no_longer_than_needed(tmp_path: Path) -> None:
    """It covers neither another kind nor another file, and one that nothing needs is a fault itself."""
    found(tmp_path, "import time, random\ntime.time()\nrandom.random()")
    house = tmp_path / "house"
    time, chance = Allowed("room.py", "time", "why"), Allowed("*", "chance", "why")
    assert effect_faults(house, (time, chance)) == []
    assert effect_faults(house, (time,)) == ["room.py:3 touches chance: random.random"]
    stale = Allowed("room.py", "files", "why")
    assert effect_faults(house, (time, chance, stale)) == [
        "room.py may touch files, and no longer does: drop the permission"
    ]


def test_the_longest_known_name_decides() -> None:
    """A part of a module may be harmless, and a part of a harmless one may not."""
    assert kind_of("os.path.join") is None
    assert kind_of("os.path.join.x") is None
    assert kind_of("os.path.exists") == "files"
    assert kind_of("os.urandom") == "chance"
    assert kind_of("datetime.datetime") is None
    assert kind_of("trio") is None

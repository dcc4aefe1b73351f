"""``actorkit attach``: a program, or a prompt, among the nodes."""

from __future__ import annotations

import os
import subprocess

import pytest

from actorkit.cli import main
from actorkit.cli.codes import ExitCode
from tests.cli.runs import PROGRAM, Up, actorkit, environment

PROGRAM_READ = """
from shop import TILL, Ping
async def ask(name):
    return await remote(name).named(TILL).ask(Ping())
for name in cluster.names:
    print(await ask(name))
print(node.nodes(), sorted(await cluster["a"].names()))
"""


def test_a_program_is_read_and_run(shop: Up) -> None:
    """With ``await`` anywhere, and the app's own messages."""
    seen = actorkit(shop.directory, "attach", given=PROGRAM_READ)
    assert (seen.returncode, seen.stderr) == (ExitCode.GOOD, "")
    one, other, rest = seen.stdout.splitlines()
    assert (one, other) == ("pong from a", "pong from b")
    assert rest.startswith("('a', 'b') [")
    assert "'shop', 'till'" in rest


def test_a_program_that_fails_is_told(shop: Up) -> None:
    """With its own traceback, and exit code 1."""
    for program, said in (
        ("x = 1\n1 / 0", 'File "<stdin>", line 2'),
        ("def (", "SyntaxError"),
        ('cluster["c"]', "there is no node 'c'; there are a, b"),
    ):
        seen = actorkit(shop.directory, "attach", given=program)
        assert (seen.returncode, seen.stdout) == (ExitCode.BAD, "")
        assert said in seen.stderr
        assert "_carry_out" not in seen.stderr
    for program, code, said in (
        ("import sys\nsys.exit(4)", 4, ""),
        (
            'print\nremote("a").names()',
            ExitCode.GOOD,
            "<stdin>, line 2: coroutine 'RemoteNode.names' was never awaited: did you forget await?\n",
        ),
    ):
        seen = actorkit(shop.directory, "attach", given=program)
        assert (seen.returncode, seen.stdout, seen.stderr) == (code, "", said)


def test_a_file_is_not_named_but_read(capsys: pytest.CaptureFixture[str]) -> None:
    """How is told, in one line."""
    assert main(["attach", "sc.py"]) == ExitCode.MISUSED
    assert capsys.readouterr().err == (
        "actorkit attach reads commands from its input: actorkit attach < sc.py\n"
    )


def test_on_a_terminal_there_is_a_prompt(shop: Up) -> None:
    """Python's own: values are shown, errors end nothing, Ctrl-C ends what runs, Ctrl-D leaves."""
    ours, theirs = os.openpty()
    program = subprocess.Popen(
        [*PROGRAM, "attach"],
        cwd=shop.directory,
        env={**environment(shop.directory), "TERM": "dumb"},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    seen = ""

    def wait_for(text: str) -> None:
        nonlocal seen
        while text not in seen:
            seen += os.read(ours, 65536).decode()
        seen = seen.partition(text)[2]

    def enter(line: str) -> None:
        os.write(ours, f"{line}\n".encode())

    wait_for("attached to run shop (a, b) as operator-")
    wait_for(">>> ")
    enter('len(await remote("a").tree()) > 1')
    wait_for("True\r\n>>> ")
    enter('remote("a").names()')
    wait_for("<coroutine object RemoteNode.names")
    enter("None or 1")  # lets go of it
    wait_for("coroutine 'RemoteNode.names' was never awaited: did you forget await?\r\n1\r\n>>> ")
    enter("1 / 0")
    wait_for(
        "Traceback (most recent call last):\r\n"
        '  File "<console>", line 1, in <module>\r\n'
        "ZeroDivisionError: division by zero\r\n>>> "
    )
    enter("print('begun'); await trio.sleep_forever()")
    wait_for("begun\r\n")
    program.send_signal(2)
    wait_for("KeyboardInterrupt")
    wait_for(">>> ")
    enter("cluster.names")
    wait_for("('a', 'b')\r\n>>> ")
    os.write(ours, b"\x04")
    assert program.wait(timeout=30) == ExitCode.GOOD
    os.close(ours)

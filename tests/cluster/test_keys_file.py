"""A key file is used only if nobody else can read it, and is made exactly once."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random
from threading import Barrier

import pytest

from actorkit.cluster.keys import (
    KeyFileError,
    create_key_file,
    default_key_file,
    read_key_file,
)
from actorkit.errors import ActorkitError

KEY = bytes(range(32))


class Dice:
    """Entropy that repeats itself; ``before`` runs ahead of each draw."""

    def __init__(self, seed: int, before: Iterator[object] | None = None) -> None:
        self.rng = Random(seed)
        self._before = before or iter(())

    def token_bytes(self, count: int) -> bytes:
        """So many bytes."""
        next(self._before, None)
        return self.rng.randbytes(count)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where a key file may stand; its name needs quotes in a shell."""
    return tmp_path / "the key"


def write(path: Path, content: bytes, mode: int = 0o600) -> Path:
    """A file with exactly this mode."""
    path.write_bytes(content)
    path.chmod(mode)
    return path


def complaint(path: Path) -> str:
    """What is said about a file that cannot be used; always with its path."""
    with pytest.raises(KeyFileError) as caught:
        read_key_file(path)
    assert isinstance(caught.value, ActorkitError)
    assert caught.value.path == path
    assert str(caught.value).startswith(f"key file {path} ")
    return str(caught.value)


# Reading ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "key"),
    [
        (KEY, KEY),
        (KEY * 2, KEY * 2),
        (KEY.hex().encode(), KEY),
        (KEY.hex().upper().encode() + b"\n", KEY),
        ((KEY * 2).hex().encode() + b"\n", KEY * 2),
        (b"\n" * 31 + b"\xff", b"\n" * 31 + b"\xff"),
    ],
)
@pytest.mark.parametrize("mode", [0o600, 0o400])
def test_a_key_is_raw_or_hexadecimal(path: Path, content: bytes, key: bytes, mode: int) -> None:
    """At least 32 bytes as they are, or two digits for each, on one line."""
    assert read_key_file(write(path, content, mode)) == key


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o620, 0o602, 0o610, 0o777, 0o644])
def test_what_others_can_use_is_refused(path: Path, mode: int) -> None:
    """Any bit for the group or the world; the command that is named mends it."""
    said = complaint(write(path, KEY, mode))
    assert f"has mode {mode:04o}" in said
    command = re.search(r"chmod 600 '[^']*'", said)
    assert command is not None
    subprocess.run(shlex.split(command[0]), check=True)
    assert read_key_file(path) == KEY


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "holds 0 bytes, and a key has at least 32"),
        (b"x" * 31, "holds 31 bytes"),
        (KEY.hex().encode()[:-2], "holds text that is not 64 or more hexadecimal digits"),
        (KEY.hex().encode()[:-1], "holds text that is not 64"),
        (KEY.hex().encode() + b"\n\n", "on one line"),
        (b"correct horse battery staple, and so on", "a password is no key"),
        (bytes(1025), "holds more than 1024 bytes"),
        (b"ab" * 513, "holds more than 1024 bytes"),
    ],
)
def test_what_is_no_key_is_refused(path: Path, content: bytes, says: str) -> None:
    """Too short, too long, passwords; the command that is named makes a good one."""
    said = complaint(write(path, content))
    assert says in said
    command = re.search(r"\(umask 077; openssl .*\)", said)
    assert command is not None
    path.unlink()
    subprocess.run(["sh", "-c", command[0]], check=True)
    assert len(read_key_file(path)) == 32


def test_a_missing_file_is_told(path: Path) -> None:
    """With two ways to come by one."""
    assert "is not there: copy it from another node, or make one with (umask" in complaint(path)


def test_no_symbolic_link_is_followed(path: Path, tmp_path: Path) -> None:
    """Neither to a good file nor into nothing."""
    target = write(tmp_path / "target", KEY)
    path.symlink_to(target)
    assert f"is a symbolic link: name its target, {target}" in complaint(path)
    target.unlink()
    assert "is a symbolic link" in complaint(path)


def test_only_regular_files_are_read(path: Path) -> None:
    """A pipe without a writer would be waited for; a directory is told as well."""
    os.mkfifo(path, 0o600)
    assert "is no regular file" in complaint(path)
    path.unlink()
    path.mkdir()
    assert "is no regular file" in complaint(path)


def test_another_users_file_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever owns it can change it; the owner is compared with the effective user."""
    write(path, KEY)
    me = path.stat().st_uid
    monkeypatch.setattr(os, "geteuid", lambda: me + 1)
    said = complaint(path)
    assert f"belongs to user {me}, and this is user {me + 1}: chown {me + 1} '" in said


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_an_unreadable_file_is_told(path: Path) -> None:
    """With the system's reason."""
    assert "cannot be read (Permission denied)" in complaint(write(path, KEY, 0o000))


def test_a_path_through_a_file_is_told(path: Path) -> None:
    """Any other reason of the system's is passed on."""
    write(path, KEY)
    assert "cannot be read (Not a directory)" in complaint(path / "key")


# Making -----------------------------------------------------------------------------------------------------------


def test_a_key_is_made_once(tmp_path: Path) -> None:
    """In a directory for this user alone, in a file for this user alone; whoever comes later gets the same."""
    path = tmp_path / "config" / "actorkit" / "key"
    key = create_key_file(path, Dice(1))
    assert len(key) == 32
    assert key != create_key_file(tmp_path / "other", Dice(2))
    assert create_key_file(path, Dice(3)) == read_key_file(path) == key
    assert (path.stat().st_mode & 0o7777, path.parent.stat().st_mode & 0o7777) == (0o600, 0o700)
    assert os.listdir(path.parent) == ["key"]  # noqa: PTH208


def test_a_generous_umask_changes_nothing(tmp_path: Path) -> None:
    """Modes are said, not left to the surroundings."""
    before = os.umask(0)
    try:
        key = create_key_file(tmp_path / "new" / "key", Dice(1))
    finally:
        os.umask(before)
    assert read_key_file(tmp_path / "new" / "key") == key
    assert (tmp_path / "new").stat().st_mode & 0o7777 == 0o700


@pytest.mark.parametrize("draw", [0, 1])
def test_of_two_at_once_one_makes_it(path: Path, draw: int) -> None:
    """Whoever comes in between, at whatever draw: both have the key that stands there, and no draft is left."""
    got: list[bytes] = []

    def meanwhile() -> Iterator[None]:
        for _ in range(draw):
            yield
        got.append(create_key_file(path, Dice(2)))
        yield

    mine = create_key_file(path, Dice(1, meanwhile()))
    assert got == [mine] == [read_key_file(path)]
    assert list(path.parent.iterdir()) == [path]


def test_many_at_once_make_one_key(tmp_path: Path) -> None:
    """Nodes that start at the same time, before there is a key, end with the same one."""
    path = tmp_path / "new" / "key"
    barrier = Barrier(8)

    def start(seed: int) -> bytes:
        barrier.wait()
        return create_key_file(path, Dice(seed))

    with ThreadPoolExecutor(8) as pool:
        for _ in range(50):
            assert set(pool.map(start, range(8))) == {read_key_file(path)}
            assert list(path.parent.iterdir()) == [path]
            path.unlink()


def test_a_bad_file_is_not_replaced(path: Path) -> None:
    """What stands there is told to be wrong, and left as it is: others may be using it."""
    write(path, KEY, 0o644)
    with pytest.raises(KeyFileError, match="chmod 600"):
        create_key_file(path, Dice(1))
    assert path.read_bytes() == KEY
    path.unlink()
    path.symlink_to("nowhere")
    with pytest.raises(KeyFileError, match="symbolic link"):
        create_key_file(path, Dice(1))


def test_a_directory_that_cannot_be_made_is_told(path: Path) -> None:
    """With the system's reason, and no key is made elsewhere."""
    write(path, KEY)
    with pytest.raises(KeyFileError, match=r"cannot be made \(.*\): make '.*' a directory"):
        create_key_file(path / "below" / "key", Dice(1))


# Where it is ------------------------------------------------------------------------------------------------------


def test_the_key_is_where_it_is_said_to_be(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file named for actorkit, else the directory of configuration, else that under the home directory."""
    monkeypatch.setenv("HOME", "/home/ada")
    named = {"ACTORKIT_KEY_FILE": "~/k", "XDG_CONFIG_HOME": "/etc/ada"}
    assert default_key_file(named) == Path("/home/ada/k")
    assert default_key_file({"XDG_CONFIG_HOME": "/etc/ada"}) == Path("/etc/ada/actorkit/key")
    home = Path("/home/ada/.config/actorkit/key")
    assert default_key_file({"XDG_CONFIG_HOME": "relative"}) == home
    assert default_key_file({"ACTORKIT_KEY_FILE": "", "XDG_CONFIG_HOME": ""}) == home
    monkeypatch.setenv("ACTORKIT_KEY_FILE", "/run/key")
    assert default_key_file() == Path("/run/key")


def test_without_a_home_the_remedy_is_told() -> None:
    """A user whom the system does not know must say where the key is."""
    with pytest.raises(KeyFileError, match="set ACTORKIT_KEY_FILE to the whole path"):
        default_key_file({"ACTORKIT_KEY_FILE": "~nobody-of-this-name/key"})

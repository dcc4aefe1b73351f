"""Secrets: what a node must know to be let in, what it may then do, and the file that keeps the key.

A ``Secret`` is a key with the grants of those who prove it, good for the names that fit a pattern. A ``Keyring`` holds the
secrets of one node and can change while the node runs, as ``erlang:set_cookie/2`` does. To change a key without an outage:
``add`` the new one at every node, then ``prefer`` it at every node, then ``remove`` the old one.

A key is 32 random bytes, not a password: who listens to a handshake can try passwords on it at leisure. A key file holds
them raw or as 64 hexadecimal digits, belongs to the user who runs the node, and is closed to everybody else. What is wrong
with one is said with the command that mends it; nothing is mended silently, because somebody may have read the key already.
"""

from __future__ import annotations

import os
import re
import shlex
import stat
from collections.abc import Iterable, Mapping
from enum import StrEnum
from fnmatch import fnmatchcase
from hashlib import sha256
from pathlib import Path

import attrs

from actorkit.errors import ActorkitError
from actorkit.seams.entropy import Entropy

KEY_BYTES = 32
ID_BYTES = 8
_ID_LABEL = b"actorkit key id"

_MOST_BYTES = 1024  # a file that is longer is something else
_HEX = re.compile(rb"(?:[0-9A-Fa-f]{2}){32,}\n?")
_TEXT = re.compile(rb"[\t\n\r -~]*")
_WILD = re.compile(r"[*?]|\[[^\]]+\]")
_PATTERN = re.compile(r"[A-Za-z0-9_@.:*?!\[\]-]+")


class Grant(StrEnum):
    """What a peer may do here beside sending to actors whose references it has."""

    SPAWN = "spawn"
    INSPECT = "inspect"
    CONTROL = "control"
    SHIP_CODE = "ship-code"


GRANTS = frozenset(Grant)
_BY_VALUE = {grant.value: grant for grant in Grant}
_ALL_GRANTS = ", ".join(map(repr, _BY_VALUE))


class KeyFileError(ActorkitError):
    """A key file cannot be used: its path, what is wrong with it, and what mends it."""

    def __init__(self, path: Path, wrong: str, remedy: str) -> None:
        super().__init__(f"key file {path} {wrong}: {remedy}")
        self.path = path


def _is_key(_: object, __: object, key: bytes) -> None:
    if not isinstance(key, bytes) or len(key) < KEY_BYTES:  # type: ignore[redundant-expr]
        # What it is must not be said: an error is logged.
        raise ValueError(f"a secret's key is bytes, at least {KEY_BYTES} of them, drawn at random")


def _is_pattern(_: object, __: object, peers: str) -> None:
    if not isinstance(peers, str) or not _PATTERN.fullmatch(peers):  # type: ignore[redundant-expr]
        raise ValueError(
            f"a secret's peers is a pattern of node names such as '*' or 'worker-*', got {peers!r}"
        )


def grants_of(grants: Iterable[Grant | str]) -> frozenset[Grant]:
    """What is granted, checked.

    Raises:
        ValueError: there is no such grant, or it is no collection of them.
    """
    if isinstance(grants, str):
        raise ValueError(
            f"a secret's grants are a collection of {_ALL_GRANTS}, got the text {grants!r}: write [{grants!r}]"
        )
    unknown = [grant for grant in grants if not (isinstance(grant, str) and grant in _BY_VALUE)]  # type: ignore[redundant-expr]
    if unknown:
        raise ValueError(f"a secret's grants are {_ALL_GRANTS}, got {unknown[0]!r}")
    return frozenset(_BY_VALUE[grant] for grant in grants)


@attrs.frozen
class Secret:
    """A key, and what those may do who prove that they know it.

    Attributes:
        key: at least 32 random bytes.
        grants: what they may do here; sending needs no grant.
        peers: the names it is good for, as one name or a pattern (``*``, ``?``, ``[a-c]``).
        id: says which key is meant without telling it.
    """

    key: bytes = attrs.field(repr=False, validator=_is_key)
    grants: frozenset[Grant] = attrs.field(default=frozenset[Grant](), converter=grants_of)
    peers: str = attrs.field(default="*", validator=_is_pattern)
    id: bytes = attrs.field(init=False, eq=False, repr=bytes.hex)

    def __attrs_post_init__(self) -> None:
        object.__setattr__(self, "id", sha256(_ID_LABEL + self.key).digest()[:ID_BYTES])

    def fits(self, name: str) -> bool:
        """Tell whether it is good for a node of this name."""
        # A name may hold brackets, of an IPv6 address, and stand here as it is.
        return name == self.peers or fnmatchcase(name, self.peers)


def _precision(secret: Secret) -> int:
    """How much its pattern says: how many of its characters a name must have as they are."""
    return len(_WILD.sub("", secret.peers))


class Keyring:
    """The secrets of one node: with which to dial, and which to accept."""

    def __init__(self, *secrets: Secret) -> None:
        self._secrets: list[Secret] = []
        for secret in secrets:
            self.add(secret)

    def __repr__(self) -> str:
        return f"Keyring({', '.join(map(repr, self._secrets))})"

    @property
    def secrets(self) -> tuple[Secret, ...]:
        """All of them, the preferred ones first."""
        return tuple(self._secrets)

    def add(self, secret: Secret) -> None:
        """Accept it from now on; of the same key for the same peers, the grants become the new ones."""
        for place, known in enumerate(self._secrets):
            if (known.id, known.peers) == (secret.id, secret.peers):
                self._secrets[place] = secret
                return
        self._secrets.append(secret)

    def prefer(self, secret: Secret) -> None:
        """Accept it, and dial with it where others fit as precisely."""
        self.remove(secret)
        self._secrets.insert(0, secret)

    def replace(self, secret: Secret) -> None:
        """Put it in the place of all that have its pattern of peers, as ``erlang:set_cookie`` does."""
        kept = [known for known in self._secrets if known.peers != secret.peers]
        self._secrets = [secret, *kept]

    def remove(self, secret: Secret) -> None:
        """Accept it no more; connections that are up stay up."""
        gone = (secret.id, secret.peers)
        self._secrets = [known for known in self._secrets if (known.id, known.peers) != gone]

    @property
    def own(self) -> Secret | None:
        """What to dial with where nobody knows yet who will answer: the preferred one of the least precise."""
        return min(self._secrets, key=_precision, default=None)

    def for_peer(self, name: str) -> Secret | None:
        """What to dial a node of this name with: of those that fit, the most precise, of these the preferred."""
        return self._best(name, self._secrets)

    def by_id(self, id: bytes, name: str) -> Secret | None:  # noqa: A002
        """The secret that a node of this name says it knows, if that one is good for it."""
        return self._best(name, (secret for secret in self._secrets if secret.id == id))

    @staticmethod
    def _best(name: str, secrets: Iterable[Secret]) -> Secret | None:
        fitting = [secret for secret in secrets if secret.fits(name)]
        return max(fitting, key=lambda s: (s.peers == name, _precision(s)), default=None)


# The file --------------------------------------------------------------------------------------------------------


def default_key_file(environment: Mapping[str, str] | None = None) -> Path:
    """Where the key is: ``ACTORKIT_KEY_FILE``, or ``actorkit/key`` in the user's directory of configuration.

    Raises:
        KeyFileError: that is in a home directory, and which one is unknown.
    """
    known = os.environ if environment is None else environment
    named = known.get("ACTORKIT_KEY_FILE")
    if named:
        return _at_home(named)
    configured = Path(known.get("XDG_CONFIG_HOME", ""))
    # The XDG specification has relative paths ignored.
    root = configured if configured.is_absolute() else _at_home("~/.config")
    return root / "actorkit" / "key"


def _at_home(named: str) -> Path:
    try:
        return Path(named).expanduser()
    except RuntimeError as error:
        remedy = "set ACTORKIT_KEY_FILE to the whole path of a key file"
        raise KeyFileError(
            Path(named), "is in a home directory that nobody knows", remedy
        ) from error


def read_key_file(path: str | os.PathLike[str]) -> bytes:
    """The key in a file that nobody else can read.

    Raises:
        KeyFileError: there is none, others can read it, it is not this user's, or it holds no key.
    """
    path = Path(path)
    try:
        content = _private_content(path)
    except OSError as error:
        raise _unreadable(path, error) from error
    return _key_in(path, content)


def create_key_file(path: str | os.PathLike[str], entropy: Entropy) -> bytes:
    """Make a key file unless there is one, and return the key that is in it.

    Of several who do so at once, one makes it and all get the same key: the file appears whole, and is never replaced.

    Raises:
        KeyFileError: it cannot be made, or there is one that cannot be used.
    """
    path = Path(path)
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not os.path.lexists(path):
            _place(path, entropy)
    except OSError as error:
        remedy = f"make {_quoted(path.parent)} a directory that you may write to, or name another"
        raise KeyFileError(path, f"cannot be made ({_said(error)})", remedy) from error
    return read_key_file(path)


def _place(path: Path, entropy: Entropy) -> None:
    """Write a key beside ``path``, and give it that name unless somebody was faster."""
    draft = path.with_name(f".{path.name}.{entropy.token_bytes(8).hex()}")
    text = entropy.token_bytes(KEY_BYTES).hex().encode() + b"\n"
    fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    try:
        with os.fdopen(fd, "wb") as file:
            file.write(text)
            file.flush()
            os.fsync(fd)
        # A link, where a rename would replace the key of whoever was faster.
        path.hardlink_to(draft)
    except FileExistsError:
        pass
    finally:
        draft.unlink()


def _private_content(path: Path) -> bytes:
    # Without O_NONBLOCK the opening of a pipe waits for a writer.
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        # Asked of the open file: what stands under the name may be another one by now.
        _check_private(path, os.fstat(fd))
        return os.read(fd, _MOST_BYTES + 1)  # of a regular file, all there is up to then
    finally:
        os.close(fd)


def _check_private(path: Path, found: os.stat_result) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise KeyFileError(path, "is no regular file", "name one that is")
    if found.st_uid != os.geteuid():
        wrong = f"belongs to user {found.st_uid}, and this is user {os.geteuid()}"
        raise KeyFileError(path, wrong, f"chown {os.geteuid()} {_quoted(path)}")
    mode = stat.S_IMODE(found.st_mode)
    if mode & 0o077:
        wrong = f"has mode {mode:04o}, so others than its owner can use it"
        remedy = f"chmod 600 {_quoted(path)}, and make a new key if somebody may have read it"
        raise KeyFileError(path, wrong, remedy)


def _key_in(path: Path, content: bytes) -> bytes:
    if len(content) > _MOST_BYTES:
        raise KeyFileError(path, f"holds more than {_MOST_BYTES} bytes", _making(path))
    if _HEX.fullmatch(content):
        return bytes.fromhex(content.decode("ascii"))
    if len(content) < KEY_BYTES:
        wrong = f"holds {len(content)} bytes, and a key has at least {KEY_BYTES}"
        raise KeyFileError(path, wrong, _making(path))
    if _TEXT.fullmatch(content):
        wrong = f"holds text that is not {2 * KEY_BYTES} or more hexadecimal digits on one line"
        raise KeyFileError(path, wrong, f"a password is no key, {_making(path)}")
    return content


def _unreadable(path: Path, error: OSError) -> KeyFileError:
    if path.is_symlink():
        return KeyFileError(path, "is a symbolic link", f"name its target, {path.readlink()}")
    if isinstance(error, FileNotFoundError):
        return KeyFileError(path, "is not there", f"copy it from another node, or {_making(path)}")
    return KeyFileError(
        path, f"cannot be read ({_said(error)})", f"ls -l {_quoted(path)} shows why"
    )


def _making(path: Path) -> str:
    return f"make one with (umask 077; openssl rand -hex {KEY_BYTES} > {_quoted(path)})"


def _quoted(path: Path) -> str:
    return shlex.quote(str(path))


def _said(error: OSError) -> str:
    return error.strerror or str(error)

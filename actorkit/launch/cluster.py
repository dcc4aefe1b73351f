"""A cluster of nodes on this machine, each an OS process, from Python: for programs, tests and notebooks.

Nothing here trusts in a good end. The block may raise, be cancelled or interrupted: the processes are told to end, then made
to. If this process is killed, the pipes that it held to the others break, and they end by themselves (see ``child``).
"""

from __future__ import annotations

import sys
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Any, TextIO

import attrs

from actorkit.cluster.keys import GRANTS, Keyring, Secret
from actorkit.cluster.options import ClusterOptions
from actorkit.errors import SpecError
from actorkit.kernel.address import valid_node_name
from actorkit.launch.keeper import Launch
from actorkit.launch.logs import Layout, Merger, Write, standard_error, wants_colour, writer_to
from actorkit.launch.process import NodeExit, NodeProcess
from actorkit.launch.settings import Policy, Settings, node_names
from actorkit.supervision.spec import Flags

if TYPE_CHECKING:
    from actorkit.cluster.node import Node

Logs = bool | TextIO | Write


def prepare_launch(settings: Settings, logs: Logs = True) -> Launch:
    """A launch of processes, which run for the time of its ``running()`` block.

    Args:
        settings: what is launched.
        logs: where their logs go, merged: a stream, or a function that writes some lines; stderr if True, nowhere if False.
    """
    write, colour = _destination(logs)
    return Launch(settings, Merger(write), Layout(settings.names, colour=colour))


def _destination(logs: Logs) -> tuple[Write, bool]:
    if logs is False:
        return lambda _: None, False
    if callable(logs):
        return logs, False
    stream = standard_error() if logs is True else logs
    return writer_to(stream), wants_colour(stream)


class LocalCluster:
    """Nodes on this machine, each in a process of its own, for the time of an ``async with`` block.

    When the block is entered all nodes are up and connected to each other and to ``node``, this process's own. However it
    ends, no process is left.

    Args:
        nodes: how many (they are called ``a``, ``b`` ...), or their names.
        app: what each of them runs: ``module``, ``module:function``, ``file.py`` or ``file.py:function``. The function, or
            else one called ``main`` or ``start``, is called with the ``Node``; the node stays up when it returns, and its
            process ends when it raises. Without an app the nodes wait for actors to be spawned on them.
        restart: ``"on-failure"``: a process that a signal ends, or that ends with a status other than 0, is started anew,
            with the same name and, if nobody has taken it, the same address. ``"always"``, ``"never"``.
        max_restarts: so many restarts within ``within`` seconds are fine; one more ends the cluster.
        within: see there.
        ship_code: whether classes that nobody else can import, as a notebook's, are sent to where they are spawned.
        logs: where the nodes' logs go, merged; see ``prepare_launch``.
        log_level: the least that the nodes log.
        key: the secret they share; a fresh one if None.
        port: where the first node listens, on loopback; the others at the next ports. Any free ones if None.
        name: of this process's own node.
        grace: seconds the nodes have to end in good order.
        start_timeout: seconds they have to be ready.
        on_exit: called when one has ended, with how, and what came of it.
        options: of all nodes, the fields of ``ClusterOptions``: ``ticktime=`` and others. Unless told otherwise, any module
            may be imported for an actor that is spawned from another node.

    Raises:
        ValueError, TypeError: an argument is wrong (``SpecError`` is a ``ValueError``).
    """

    def __init__(
        self,
        nodes: int | Iterable[str] = 3,
        *,
        app: str | None = None,
        restart: Policy = "on-failure",
        max_restarts: int = 3,
        within: float = 5.0,
        ship_code: bool = True,
        logs: Logs = True,
        log_level: str = "info",
        key: bytes | None = None,
        port: int | None = None,
        name: str = "local",
        grace: float = 5.0,
        start_timeout: float = 30.0,
        on_exit: Callable[[NodeExit], object] = lambda _: None,
        **options: Any,
    ) -> None:
        options = {"ship_code": ship_code, "imports": ["*"], **options}
        ClusterOptions(**options)  # a wrong one is told here rather than by the processes
        settings = Settings(
            names=node_names(nodes),
            app=app,
            restart=restart,
            flags=Flags(max_restarts=max_restarts, within=within),
            port=port,
            path=tuple(sys.path),
            log_level=log_level,
            grace=grace,
            start_timeout=start_timeout,
            options=options,
        )
        if not (isinstance(name, str) and valid_node_name(name)):  # type: ignore[redundant-expr]
            raise SpecError(
                f"name is that of this process's own node, of letters, digits, '_' and '-', got {name!r}"
            )
        if name in settings.names:
            raise SpecError(
                f"{name!r} is the name of this process's own node; choose another name="
            )
        self._settings = settings if key is None else attrs.evolve(settings, key=key)
        self._name = name
        self._logs = logs
        self._on_exit = on_exit
        self._block: AbstractAsyncContextManager[None] | None = None
        self._launch: Launch | None = None
        self._node: Node | None = None

    def __repr__(self) -> str:
        where = "not open" if self._node is None else f"from {self._node!r}"
        return f"<LocalCluster {', '.join(self.names)}, {where}>"

    @property
    def names(self) -> tuple[str, ...]:
        """The names of its nodes, this process's own apart."""
        return self._settings.names

    @property
    def node(self) -> Node:
        """This process's own node, connected to all others."""
        if self._node is None:
            raise RuntimeError("a LocalCluster has a node within its `async with` block only")
        return self._node

    def __getitem__(self, name: str) -> NodeProcess:
        if self._launch is None:
            raise RuntimeError("a LocalCluster has processes within its `async with` block only")
        if name not in self._launch.nodes:
            raise KeyError(f"there is no node {name!r}; there are {', '.join(self.names)}")
        return self._launch.nodes[name]

    async def __aenter__(self) -> LocalCluster:
        if self._block is not None:
            raise RuntimeError("a LocalCluster is entered once; make another one")
        self._block = self._open()
        await self._block.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool | None:
        assert self._block is not None, "it was entered"
        return await self._block.__aexit__(kind, error, traceback)

    @asynccontextmanager
    async def _open(self) -> AsyncGenerator[None]:
        from actorkit.cluster.node import open_node  # noqa: PLC0415 - `actorkit up` does without

        settings = self._settings
        ring = Keyring(Secret(settings.key, GRANTS))
        launch = prepare_launch(settings, self._logs)
        launch.on_exit = self._on_exit
        async with (
            launch.running(),
            open_node(self._name, secret=ring, **settings.options) as node,
        ):
            for process in launch.nodes.values():
                await node.connect(process.address)
            launch.greet = node.connect
            self._launch, self._node = launch, node
            launch.run_apps()
            try:
                yield
            finally:
                launch.greet = None
                self._launch = self._node = None

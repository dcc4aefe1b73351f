"""Names: one actor per name, one name per actor, free before anyone hears of the holder's death."""

from __future__ import annotations

from typing import Any, cast

import attrs
import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

import actorkit as ak
from actorkit.kernel.cell import Cell
from actorkit.kernel.registry import Registry, name_of
from tests.harness import lost, puppet, puppet_below, puppet_props, settle
from tests.kernel.support import Note, failure_of

# The table ------------------------------------------------------------------------------------------------------


@attrs.define(eq=False)
class Holder:
    """All the registry knows of a cell: the name it has."""

    key: str | None = None


names = st.sampled_from("abc")
holders = st.integers(0, 3)
steps = st.lists(
    st.tuples(st.just("register"), names, holders) | st.tuples(st.just("release"), names, holders)
)


@given(steps)
def test_the_registry_is_a_bijection(script: list[tuple[str, str, int]]) -> None:
    """A name has at most one holder and a holder one name; taking what is taken says who has it and changes nothing."""
    registry, cells = Registry(), [Holder() for _ in range(4)]
    model: dict[str, Holder] = {}
    for step, name, number in script:
        cell = cells[number]
        if step == "register":
            blocker = model.get(name) or (cell if cell in model.values() else None)
            assert registry.register(name, cast(Cell, cell)) is cast(Any, blocker)
            if blocker is None:
                model[name] = cell
        else:
            registry.release(cast(Cell, cell))
            model = {name: held for name, held in model.items() if held is not cell}
        assert registry.names() == cast(Any, model)
        assert len(registry) == len(model)
        assert [c.key for c in cells] == [key_of(c, model) for c in cells]
        assert all(registry.holder(n) is cast(Any, model.get(n)) for n in "abc")


def key_of(cell: Holder, model: dict[str, Holder]) -> str | None:
    """The name a holder has in the model."""
    return next((name for name, held in model.items() if held is cell), None)


@given(st.text())
def test_a_key_is_a_printable_name(text: str) -> None:
    """A key takes 1 to 200 printable characters; a plain string given as a name is held to the same."""
    if 1 <= len(text) <= 200 and text.isprintable():
        assert str(ak.Key[Any](text)) == name_of(text) == name_of(ak.Key[Any](text)) == text
    else:
        with pytest.raises(ValueError, match="a name has 1 to 200 printable characters"):
            ak.Key[Any](text)
        with pytest.raises(ValueError, match="a name has 1 to 200 printable characters"):
            name_of(text)


# In a system ----------------------------------------------------------------------------------------------------

BOSS = ak.Key[object]("boss")


async def test_a_name_finds_its_holder(system: ak.System) -> None:
    """A named actor is found by key or string, listed, and its path ends in its name."""
    boss = await puppet(system, name="boss")
    assert system.whereis(BOSS) is boss.ref
    assert dict(system.names()) == {"boss": boss.ref}
    assert boss.ref.path == "/boss"
    assert system.status(boss.ref).name == "boss"
    assert system.whereis(ak.Key[object]("nobody")) is None


async def test_a_taken_name_is_refused_before_anything_runs(system: ak.System) -> None:
    """A second holder is refused with the first, its constructor is not called, and the first keeps the name."""
    boss = await puppet(system, name="boss")
    built: list[int] = []

    class Proud(ak.Actor[Note]):
        def __init__(self) -> None:
            built.append(1)

        @ak.on(Note)
        def note(self, msg: Note) -> None: ...

    with pytest.raises(ak.AlreadyStarted) as refused:
        await system.spawn(ak.props(Proud), name="boss")
    assert refused.value.ref is boss.ref
    assert built == []
    error = await boss.do(lambda ctx: failure_of(ctx.spawn(ak.props(Proud), name="boss")))
    assert isinstance(error, ak.AlreadyStarted)
    assert system.whereis(BOSS) is boss.ref


async def test_a_name_is_free_before_the_death_is_heard_of(system: ak.System) -> None:
    """Whoever hears of the holder's death can take its name in the same breath."""
    boss, watcher = await puppet(system, name="boss"), await puppet(system)
    found: list[object] = []
    heir: list[ak.Ref[object]] = []

    class Heir(ak.Actor[Note]):
        async def started(self) -> None:
            self.ctx.watch(boss.ref)

        @ak.on(Note)
        def note(self, msg: Note) -> None: ...

        async def down(self, down: ak.Down) -> None:
            found.append(system.whereis(BOSS))
            heir.append(await self.ctx.spawn(puppet_props([]), name=BOSS))

    await system.spawn(ak.props(Heir))
    await watcher.do(lambda ctx: ctx.watch(boss.ref))
    system.events.subscribe(lambda event: found.append(system.whereis(BOSS)), ak.Stopped)
    boss.ref.kill()
    await settle()
    assert found == [None, None]
    assert system.whereis(BOSS) is heir[0]


async def test_a_reference_by_name_means_the_holder_of_the_moment(system: ak.System) -> None:
    """Mail sent by name goes to whoever holds it then; without a holder it is a dead letter with the name on it."""
    named = system.named(BOSS)
    named.tell(Note("nobody"))
    first = await puppet(system, name="boss")
    named.tell(Note("first"))
    await settle()
    assert named.alive
    assert await first.do(lambda ctx: ctx.path) == named.path
    first.ref.kill()
    await first.ref.wait_stopped()
    assert system.whereis(BOSS) is None
    second = await puppet(system, name="boss")
    named.tell(Note("second"))
    await settle()
    assert [first.got(Note), second.got(Note)] == [[Note("first")], [Note("second")]]
    assert lost(system, ak.DeadReason.NO_ACTOR) == [Note("nobody")]
    assert system.dead_letters.recent[0].path == "name:boss"


async def test_a_failed_start_frees_its_name(system: ak.System) -> None:
    """An actor that does not start leaves no name behind, however it fails."""

    class Failing(ak.Actor[Note]):
        def __init__(self, how: str) -> None:
            if how == "constructor":
                raise ValueError(how)
            self.how = how

        async def started(self) -> None:
            assert system.whereis(BOSS) is self.ctx.self
            await trio.sleep(10 if self.how == "late" else 0)
            raise ak.Ignore if self.how == "ignore" else ValueError(self.how)

        @ak.on(Note)
        def note(self, msg: Note) -> None: ...

    for how in ("constructor", "hook", "ignore", "late"):
        with pytest.raises(ak.StartError):
            await system.spawn(ak.props(Failing, how), name="boss", start_timeout=5)
        assert not system.names()
    heir = await puppet_below(await puppet(system), name="boss")
    assert system.whereis(BOSS) is heir.ref


async def test_made_up_names_are_never_taken(system: ak.System) -> None:
    """An actor without a name gets one of its own, even if somebody has chosen the next in line."""
    for serial in range(2, 6, 2):
        await puppet(system, name=f"Puppet-{serial}")
        await puppet(system)
    assert len({branch.path for branch in system.tree()}) == 4


@pytest.mark.parametrize("name", ["", "a/b", "tab\t", "x" * 201, 3, b"name"])
async def test_wrong_names_start_nothing(system: ak.System, name: Any) -> None:
    """A name that cannot be one is a ValueError that shows it; nothing is started, nothing is left."""
    with pytest.raises(ValueError, match="name") as refused:
        await system.spawn(puppet_props([]), name=name)
    assert repr(name) in str(refused.value)
    assert not system.names()
    assert system.tree() == ()

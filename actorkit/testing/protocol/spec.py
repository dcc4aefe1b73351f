"""``Spec``: a protocol described once, tested five ways."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, TypeVar

from actorkit.testing.protocol.checking import judge
from actorkit.testing.protocol.model import Model
from actorkit.testing.protocol.world import Subject
from actorkit.testing.simulation.faults import Fault, early_timer, kill_actor

if TYPE_CHECKING:
    import unittest

    from hypothesis import settings as Settings  # noqa: N812 - a class with a small name

    from actorkit.testing.protocol.history import History
    from actorkit.testing.protocol.linearizability import Linearizable
    from actorkit.testing.protocol.programs import Programs
    from actorkit.testing.simulation.simulate import SimulatedFunction, StrategyName
    from actorkit.testing.trace import Trace

S = TypeVar("S")
M = TypeVar("M")


class Spec(Model[S, M]):
    """What a protocol promises: a state, and for each message what it is answered by and which state follows.

    Subclass it with the type of the state and the union of the messages, say what the ``initial`` state is, and describe
    each message in a method marked with ``transition``. A class that leaves a message out is a ``VocabularyError`` when it
    is created. Then its class methods make tests of an actor::

        class AccountSpec(Spec[int, Deposit | Withdraw]):
            def initial(self) -> int:
                return 0

            @transition(Deposit)
            def deposit(self, balance: int, msg: Deposit) -> Step[int, int]:
                return balance + msg.cents, balance + msg.cents

            @transition(Withdraw, when=lambda balance, msg: balance > 0)
            def withdraw(self, balance: int, msg: Withdraw) -> Step[int, int]:
                if msg.cents > balance:
                    return refuses(Insufficient), balance
                return balance - msg.cents, balance - msg.cents

        TestAccount = AccountSpec.sequential(ak.props(Account))
        test_account_race = AccountSpec.concurrent(ak.props(Account), clients=3)

    What is tested is ``ak.props(...)``, or an async function of the system that starts the actor, with whatever it needs,
    and returns its reference.
    """

    @classmethod
    def sequential(
        cls, subject: Subject[M], *, settings: Settings | None = None
    ) -> type[unittest.TestCase]:
        """A test case: one message after another, each answer compared with the model's.

        It fails if an answer differs, if the actor crashes, leaves a request unanswered or loses a message, and if
        ``check`` finds its attributes wrong. The failing program is made short and printed.

        Args:
            subject: what is tested.
            settings: Hypothesis's; its profile's without a deadline unless told otherwise.
        """
        from actorkit.testing.protocol.machine import sequential  # noqa: PLC0415 - it brings Hypothesis

        return sequential(cls, subject, settings)

    @classmethod
    def concurrent(
        cls,
        subject: Subject[M],
        *,
        clients: int = 3,
        length: int = 4,
        faults: Iterable[Fault] = (),
        tolerated: Sequence[type[BaseException]] = (),
        programs: Programs | None = None,
        strategy: StrategyName = "delay",
        examples: int = 100,
        seed: int | None = None,
    ) -> SimulatedFunction:
        """A simulated test: several clients at once, under many schedules; what they saw must be linearizable.

        Args:
            subject: what is tested.
            clients: how many there are.
            length: how many messages each sends at most.
            faults: what may be done to the actor; it is then supervised, and ``restarted`` says what it remembers.
            tolerated: the exceptions of which the actor may crash.
            programs: what the clients send, if it shall always be the same; drawn unless told otherwise.
            strategy: how schedules are looked for, as with ``simulate``; "exhaustive" needs ``programs``.
            examples: how many runs.
            seed: makes the search the same each time.
        """
        from actorkit.testing.protocol.concurrent import concurrent  # noqa: PLC0415 - it brings Hypothesis

        return concurrent(
            cls,
            subject,
            clients=clients,
            length=length,
            faults=faults,
            tolerated=tolerated,
            fixed=programs,
            strategy=strategy,
            examples=examples,
            seed=seed,
        )

    @classmethod
    def faulty(
        cls,
        subject: Subject[M],
        *,
        faults: Iterable[Fault] | None = None,
        tolerated: Sequence[type[BaseException]] = (),
        settings: Settings | None = None,
    ) -> type[unittest.TestCase]:
        """A test case with faults between messages and while they are on their way, and with time passing.

        The actor is supervised; ``restarted`` says what its next incarnation remembers. A message whose asker gets no
        reply may have been handled or not.

        Args:
            subject: what is tested; if it is a function, what it starts must be supervised.
            faults: what may be done; the actor is killed, and timers come early, unless told otherwise.
            tolerated: the exceptions of which the actor may crash.
            settings: as with ``sequential``.
        """
        from actorkit.testing.protocol.faulty import faulty  # noqa: PLC0415 - it brings Hypothesis

        chosen = (kill_actor(), early_timer()) if faults is None else tuple(faults)
        return faulty(cls, subject, chosen, tolerated, settings)

    @classmethod
    def malformed(
        cls, subject: Subject[M], *, settings: Settings | None = None
    ) -> type[unittest.TestCase]:
        """A test case that also sends what nobody should: wrong types, NaN, enormous texts, strangers' messages.

        The actor must turn it away or crash of it, cleanly, under its supervisor; and then serve on in a state that the
        model knows. What a message class's own validators turn away cannot be sent, so they are the remedy.

        Args:
            subject: what is tested; if it is a function, what it starts must be supervised.
            settings: as with ``sequential``.
        """
        from actorkit.testing.protocol.malformed import malformed_machine  # noqa: PLC0415 - it brings Hypothesis

        return malformed_machine(cls, subject, settings)

    @classmethod
    def check_trace(cls, recorded: Trace | History, *, actor: str | None = None) -> Linearizable:
        """Judge what was recorded of a real run: a ``History``, or a ``Trace`` with what was sent to one actor.

        Args:
            recorded: what happened.
            actor: the path of the actor that a trace is judged for; needed if several were sent such messages.

        Raises:
            AssertionError: no order of the operations explains it, or too many would have to be tried.
            ValueError: the trace does not tell which actor is meant.
        """
        return judge(cls(), recorded, actor)

"""Actors die and come back: a supervision tree, a kill, a crash, and a supervisor that gives up.

A counter keeps its number in a vault, an actor of its own, so that a crash of the counter costs
nothing. The strategy is ``rest_for_one``: if the counter dies, the vault stays; if the vault dies,
the counter, which was started after it and depends on it, is restarted too. A reference to a
supervised child outlives the child: what is sent while it restarts waits for the next incarnation.
"""

from __future__ import annotations

import actorkit as ak


@ak.message
class Put:
    value: int


@ak.message
class Get(ak.Request[int]): ...


class Vault(ak.Actor[Put | Get]):
    def __init__(self) -> None:
        self.value = 0

    @ak.on(Put)
    def put(self, msg: Put) -> None:
        self.value = msg.value

    @ak.on(Get)
    def get(self, msg: Get) -> int:
        return self.value


@ak.message
class Add(ak.Request[int]):
    text: str


class Counter(ak.Actor[Add]):
    def __init__(self, vault: ak.Ref[Put | Get]) -> None:
        self.vault = vault

    async def started(self) -> None:
        self.count = await self.vault.ask(Get())
        print(f"  counter starts at {self.count}")

    @ak.on(Add)
    def add(self, msg: Add) -> int:
        self.count += int(msg.text)  # if it is no number, the ValueError is a crash
        self.vault.tell(Put(self.count))
        return self.count


# A key is a typed name: the counter reaches whoever is the vault at the time.
VAULT_NAME = ak.Key[Put | Get]("vault")
VAULT = ak.Child("vault", ak.props(Vault), name=VAULT_NAME)


def report_deaths(event: object) -> None:
    match event:
        case ak.ChildTerminated(child=child, reason=reason):
            print(f"  {child.id}: {reason}")
        case ak.GaveUp(restarts=restarts):
            print(f"  the supervisor gave up after {restarts} restarts")
        case _:
            pass


async def main(system: ak.System) -> None:
    system.events.subscribe(report_deaths)
    counter_spec = ak.Child("counter", ak.props(Counter, system.named(VAULT_NAME)))
    tree = await system.start(
        ak.supervise(VAULT, counter_spec, strategy="rest_for_one", max_restarts=3, within=5.0),
        name="bank",
    )
    vault, counter = tree.child(VAULT), tree.child(counter_spec)
    print("count:", await counter.ask(Add("41")))

    print("kill the counter")
    counter.kill()
    print("count:", await counter.ask(Add("1")))

    print("let it crash")
    answer: object = None
    try:
        answer = await counter.ask(Add("one"))
    except ak.ActorDied as error:
        answer = error
    count = await counter.ask(Add("1"))  # waits for the next incarnation
    print("no answer:", answer)
    print("count:", count)

    print("kill the vault: both start anew, and what only the vault knew is lost")
    vault.kill()
    print("count:", await counter.ask(Add("1")))

    print("a fourth death within five seconds")
    counter.kill()
    print("the tree ended:", await tree.ref.wait_stopped())
    try:
        await counter.ask(Add("1"))
    except ak.ActorDied as error:
        print("no answer:", error)


if __name__ == "__main__":
    ak.run(main, logs=False)  # the crash would be logged, with its traceback, on stderr

# Output:
#   counter starts at 0
# count: 41
# kill the counter
#   counter: killed
#   counter starts at 41
# count: 42
# let it crash
#   counter: crashed (ValueError: invalid literal for int() with base 10: 'one')
#   counter starts at 42
# no answer: /bank/counter is gone: crashed (ValueError: invalid literal for int() with base 10: 'one')
# count: 43
# kill the vault: both start anew, and what only the vault knew is lost
#   vault: killed
#   counter starts at 0
# count: 1
# a fourth death within five seconds
#   counter: killed
#   the supervisor gave up after 3 restarts
# the tree ended: shutdown (more than 3 restarts within 5 s)
# no answer: /bank/counter is gone: no such actor

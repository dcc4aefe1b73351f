"""One actor, one message that is told, one that is asked.

An actor is an object that nobody calls: others send it messages, and it handles them one at a time.
A message is a small frozen class. ``tell`` sends one and goes on at once; ``ask`` sends one and
waits for the reply, whose type stands on the request: asking ``Count`` gives an int, and type
checkers know it.
"""

from __future__ import annotations

import actorkit as ak


@ak.message
class Greet:
    whom: str


@ak.message
class Count(ak.Request[int]):
    """How many greetings were there?"""


class Greeter(ak.Actor[Greet | Count]):
    def __init__(self, greeting: str) -> None:
        self.greeting = greeting
        self.greeted = 0

    @ak.on(Greet)
    def greet(self, msg: Greet) -> None:
        self.greeted += 1
        print(f"{self.greeting}, {msg.whom}!")

    @ak.on(Count)
    def count(self, msg: Count) -> int:
        return self.greeted


async def main(system: ak.System) -> None:
    greeter = await system.spawn(ak.props(Greeter, "Hello"), name="greeter")
    print("started:", greeter)
    greeter.tell(Greet("Ada"))
    greeter.tell(Greet("Joe"))
    # From one sender messages arrive in order, so both have been handled when this answers.
    print("greetings:", await greeter.ask(Count()))


if __name__ == "__main__":
    ak.run(main)

# Output:
# started: Ref(/greeter)
# Hello, Ada!
# Hello, Joe!
# greetings: 2

"""A streamed reply: tokens arrive one by one, and the reader may leave when it has read enough.

A ``StreamRequest[str]`` is answered by an async generator. The producer is at most ``window`` items
ahead of its reader. Leaving the ``async with`` block early closes the generator, whose ``finally``
blocks run, so a model is not paid for tokens that nobody reads.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

import trio
from trio.testing import MockClock

import actorkit as ak


@ak.message
class Generate(ak.StreamRequest[str]):
    prompt: str


class TooLong(ak.Refused):
    """The prompt is too long for this model."""


class Model(ak.Actor[Generate]):
    @ak.on(Generate)
    async def generate(self, msg: Generate) -> AsyncIterator[str]:
        if len(msg.prompt) > 60:
            raise TooLong(f"{len(msg.prompt)} characters, 60 are allowed")
        made = 0
        try:
            for word in msg.prompt.split():
                await self.ctx.sleep(0.1)  # a model takes its time for each token
                made += 1
                yield word.upper()
        finally:
            print(f"  (the model made {made} tokens)")


async def main() -> None:
    async with ak.open_system() as system:
        model = await system.spawn(ak.props(Model), name="model")

        print("all of it:")
        async with model.stream(Generate("one message at a time")) as tokens:
            async for token in tokens:
                print(f"  {system.now():.1f}s {token}")

        print("until it says enough:")
        async with model.stream(Generate("this is enough and more than that"), window=1) as tokens:
            async for token in tokens:
                print(" ", token)
                if token == "ENOUGH":
                    break

        try:
            async with model.stream(Generate("very " * 20 + "long")) as tokens:
                async for token in tokens:
                    print(token)
        except TooLong as no:
            print("refused:", no)


if __name__ == "__main__":
    trio.run(main, clock=MockClock(autojump_threshold=0))

# Output:
# all of it:
#   0.1s ONE
#   0.2s MESSAGE
#   0.3s AT
#   0.4s A
#   (the model made 5 tokens)
#   0.5s TIME
# until it says enough:
#   THIS
#   IS
#   ENOUGH
#   (the model made 4 tokens)
# refused: 104 characters, 60 are allowed

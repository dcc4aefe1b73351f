"""Looking into a running system: the tree, one actor's status and state, and what was lost.

None of this needs the actors' help. ``status`` and ``statistics`` answer at once, even if the actor
is busy; ``state_of`` is answered between two messages, so it also says that all that was sent
before has been handled. A suspended actor keeps its mail and still answers.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import actorkit as ak


@ak.message
class Store:
    key: str
    value: str


class Cache(ak.Actor[Store]):
    mailbox = ak.Mailbox(capacity=3)

    def __init__(self, password: str) -> None:
        self.password = password
        self.entries: dict[str, str] = {}

    @ak.on(Store)
    def store(self, msg: Store) -> None:
        self.entries[msg.key] = msg.value

    def describe(self, state: Mapping[str, Any]) -> Mapping[str, Any]:
        return {**state, "password": "***"}


CACHE = ak.Child("cache", ak.props(Cache, "secret"))
OTHER = ak.Child("other", ak.props(Cache, "secret"))


async def main(system: ak.System) -> None:
    tree = await system.start(ak.supervise(CACHE, OTHER), name="caches")
    cache = tree.child(CACHE)
    cache.tell(Store("a", "1"))
    print("state:", (await system.state_of(cache))["entries"])

    system.suspend(cache)
    for number in range(5):
        cache.tell(Store("b", str(number)))
    print("suspended:", (await system.state_of(cache))["entries"])
    print(system.tree()[0])
    for letter in system.dead_letters.recent:
        print("lost:", letter.message, "-", letter.reason)
    system.resume(cache)
    print("resumed:", (await system.state_of(cache))["entries"])

    status = system.status(cache)
    print("status:", status.state, dict(status.details))
    await system.replace_state(cache, lambda state: {**state, "entries": {}})
    print("replaced:", (await system.state_of(cache))["entries"])


if __name__ == "__main__":
    ak.run(main, logs=False)

# Output:
# state: {'a': '1'}
# suspended: {'a': '1'}
# caches  Supervisor  running  handled 0, waiting 0
#   cache  Cache  suspended  handled 1, waiting 3
#   other  Cache  running  handled 0, waiting 0
# lost: Store(key='b', value='3') - mailbox full
# lost: Store(key='b', value='4') - mailbox full
# resumed: {'a': '1', 'b': '2'}
# status: running {'password': '***', 'entries': {'a': '1', 'b': '2'}}
# replaced: {}

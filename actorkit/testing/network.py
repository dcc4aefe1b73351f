"""A network in memory: hosts with names, links between them, and everything that can go wrong.

    async with MemoryNetwork() as network:
        a, b = network.host("a"), network.host("b")        # two transports
        listener = await b.listen()
        connection = await a.dial(listener.address)
        network.cut("a", "b")                              # silence, until...
        network.heal()

From each host to each other host leads one *link*, a trio task called ``link a -> b`` that delivers one segment at a time, in
order. So a simulation that decides which task goes next also decides how long everything is on its way, and what overtakes
what on another link. Nothing here rolls dice or reads a clock, except that a link with a delay sleeps.

Time-outs of TCP itself are left out: a connection over a cut link is silent for ever, and goes on when the link is healed.
"""

from __future__ import annotations



"""The main job: a crew of actors studies a body of text while it is killed at random, and comes to the right result.

Built on the public API, as a user would, but for ground.py, which starts the nodes by hand so that its own keeps books. Read
tree.py for who stands where, crew.py and ledger.py for how work survives those who do it, sabotage.py for how they die,
ground.py for the nodes and processes they live in, and job.py for how it all comes together. What the crew works out is in
reading.py, structure.py, complexity.py, documentation.py and duplication.py: plain functions that know nothing of actors.
"""

"""What every test runs under."""

from __future__ import annotations

from hypothesis import settings

# A busy machine is not a slow property: pytest-timeout catches what hangs.
settings.register_profile("actorkit", deadline=None, print_blob=True)
settings.load_profile("actorkit")

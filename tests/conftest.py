"""For all tests: property tests measure no time, for a busy machine is slow at random."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("lastwords", deadline=None)
settings.load_profile("lastwords")

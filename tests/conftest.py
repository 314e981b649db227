"""For all tests. Property tests measure no time: machines that build on the side are slow at random."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("lastwords", deadline=None)
settings.load_profile("lastwords")

"""For all tests: property tests measure no time, for a busy machine is slow at random, and answers
about symbols are kept in a folder of the run, not in the user's.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from collections.abc import Iterator

settings.register_profile("lastwords", deadline=None)
settings.load_profile("lastwords")


@pytest.fixture(scope="session", autouse=True)
def _symbol_cache_of_its_own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    before = os.environ.get("LASTWORDS_CACHE_DIR")
    os.environ["LASTWORDS_CACHE_DIR"] = str(tmp_path_factory.mktemp("cache") / "symbols")
    yield
    if before is None:
        del os.environ["LASTWORDS_CACHE_DIR"]
    else:
        os.environ["LASTWORDS_CACHE_DIR"] = before

"""What the tests of the debugger share: the corpus."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from debug_corpus import corpus_source, unpacked

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="session")
def corpus(request: pytest.FixtureRequest) -> Path:
    """The unpacked corpus; its tests are skipped where there is none."""
    source = corpus_source()
    if not source.exists():
        pytest.skip(f"no corpus at {source}; set LASTWORDS_CORPUS")
    return unpacked(source, request.config.cache.mkdir("corpus"))

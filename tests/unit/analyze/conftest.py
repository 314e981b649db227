"""What the tests of the analysis share: the corpus, and the core."""

from __future__ import annotations

from pathlib import Path

import pytest
from analyze_corpus import corpus_source, unpacked


@pytest.fixture(scope="session")
def corpus(request: pytest.FixtureRequest) -> Path:
    """The unpacked corpus; its tests are skipped where there is none."""
    source = corpus_source()
    if not source.exists():
        pytest.skip(f"no corpus at {source}; set LASTWORDS_CORPUS")
    return unpacked(source, request.config.cache.mkdir("corpus"))

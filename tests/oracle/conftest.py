"""What the tests of the oracle share: how much they run, and the page that a whole run writes."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from report import Page

if TYPE_CHECKING:
    from collections.abc import Iterator

PAGE = Path(__file__).parents[2] / "docs/reference/oracle.md"


@pytest.fixture(scope="session")
def page(request: pytest.FixtureRequest) -> Iterator[Page]:
    """The results of this session; a run of everything (see `amount`) writes the page."""
    page = Page()
    yield page
    if "LASTWORDS_ORACLE_SCRIPTS" in os.environ and page.is_whole:
        PAGE.write_text(page.text(), "utf-8")

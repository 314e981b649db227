"""A store with reports, and a client of its pages."""

from __future__ import annotations

import pytest
from litestar.testing import TestClient
from web_reports import WebReports

from lastwords.web import create_app


@pytest.fixture
def reports(store):
    return WebReports(store)


@pytest.fixture
def client(store):
    with TestClient(create_app(store), base_url="http://testserver.local") as opened:
        yield opened

"""A store with reports, and a client of its pages."""

from __future__ import annotations

import pytest
from litestar.testing import TestClient
from web_reports import WebReports

from lastwords.store import open_store
from lastwords.web import create_app


@pytest.fixture
def store(tmp_path):
    opened = open_store(tmp_path / "data", is_owner=True)
    yield opened
    opened.close()


@pytest.fixture
def reports(store):
    return WebReports(store)


@pytest.fixture
def client(store):
    with TestClient(create_app(store), base_url="http://testserver.local") as opened:
        yield opened

"""Source files from servers on loopback."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import pytest
from symbol_server import Answers, serve

from lastwords.symbols.source_download import SourceDownloads
from lastwords.symbols.source_files import SourceFiles

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TEXT = b"first\nsecond\nthird\n"
FILE = "C:\\src\\a.cpp"


@pytest.fixture
def server() -> Iterator[Answers]:
    with serve() as answers:
        answers.files["/raw/a.cpp"] = TEXT
        yield answers


def test_a_file_is_downloaded_once(server: Answers, tmp_path: Path) -> None:
    url = f"{server.url}/raw/a.cpp"
    found = SourceDownloads(root=tmp_path).get(url)
    assert found is not None
    assert found.read_bytes() == TEXT
    assert SourceDownloads(root=tmp_path).get(url) == found
    assert server.paths() == ["/raw/a.cpp"]


def test_what_cannot_be_had_is_told_and_not_asked_again(server: Answers, tmp_path: Path) -> None:
    url = f"{server.url}/raw/gone.cpp"
    for _ in range(2):
        downloads = SourceDownloads(root=tmp_path)
        assert downloads.get(url) is None
        assert downloads.get(url) is None
        assert list(downloads.failures) == [url]
    assert server.paths() == ["/raw/gone.cpp"]


def test_addresses_without_tls_are_refused(tmp_path: Path) -> None:
    downloads = SourceDownloads(root=tmp_path)
    assert downloads.get("http://192.0.2.1/a.cpp") is None
    assert downloads.failures == {"http://192.0.2.1/a.cpp": "an address without TLS"}


@pytest.mark.parametrize(("digest", "shown"), [(TEXT, "second"), (b"another", None)])
def test_a_download_is_shown_if_it_is_what_was_compiled(
    server: Answers, tmp_path: Path, digest: bytes, shown: str | None
) -> None:
    downloads = SourceDownloads(root=tmp_path)
    checksum = f"sha256:{hashlib.sha256(digest).hexdigest()}"
    files = SourceFiles(
        [], {FILE: checksum}, download=lambda _: downloads.get(f"{server.url}/raw/a.cpp")
    )
    lines = files.around(FILE, 2, context=0)
    assert [line.text for line in lines] == ([shown] if shown else [])

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from lastwords.analyze import fetch
from lastwords.symbols.download import FAILED_BEFORE, Download, FileState
from lastwords.symbols.places import Places
from lastwords.symbols.wanted import modules_of

if TYPE_CHECKING:
    import pytest

DOCUMENT = {
    "soft_errors": [{"code": "frames_cut", "where": "thread 1", "message": "many"}],
    "modules": [{"filename": "app", "code_id": "ab" * 20, "symbols": {"status": "missing"}}],
}


class FailingDownloader:
    """Fails at everything, and gives up on the server behind the first file."""

    def fetch(self, _modules: object, *, wants_code: object) -> list[Download]:
        del wants_code
        reasons = ("refused", f"{FAILED_BEFORE}refused", "its id differs")
        [module, *_] = modules_of(DOCUMENT)
        return [
            Download(
                module=module, role="debug", state=FileState.FAILED, url=f"http://a/{n}",
                reason=reason,
            )
            for n, reason in enumerate(reasons)
        ]  # fmt: skip


def test_each_reason_of_a_server_is_noted_once(monkeypatch: pytest.MonkeyPatch) -> None:
    written = json.dumps(DOCUMENT).encode()
    monkeypatch.setattr(fetch, "analyze_dump_json", lambda *_, **__: written)
    document, downloads = fetch.analyze_with_downloads(
        Path("x.dmp"),
        places=Places(paths=(), servers=()),
        downloader=FailingDownloader(),  # type: ignore[arg-type]
    )
    assert len(downloads) == 3
    [_, first, second] = json.loads(document)["soft_errors"]
    code = "symbols_not_downloaded"
    assert first == {"code": code, "where": "http://a/0", "message": "refused"}
    assert second == {"code": code, "where": "http://a/2", "message": "its id differs"}

"""Downloads from real servers on loopback, well and badly behaved."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from symbol_server import (
    STAMP,
    SYM,
    SYM_ID,
    Answers,
    cabinet,
    cut_once,
    endless,
    pe_image,
    redirect,
    serve,
    silent,
    status_once,
)

from lastwords.symbols import Download, Downloader, Protocol, Server, WantedModule
from lastwords.symbols.http_get import GetLimits

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

QUICK = GetLimits(idle_s=5.0, tries=3, pause_s=0.01)
SYM_PATH = f"/libapp.so/{SYM_ID}/libapp.so.sym"
LIBAPP = WantedModule(code_file="/app/libapp.so", debug_id=SYM_ID, has_frames=True)
APP_EXE = WantedModule(
    code_file="C:\\app\\app.exe", debug_file="C:\\b\\app.pdb", code_id=STAMP, has_frames=True
)


@pytest.fixture
def server() -> Iterator[Answers]:
    with serve() as answers:
        yield answers


def fetch(
    server: Answers,
    cache: Path,
    module: WantedModule = LIBAPP,
    *,
    protocol: Protocol = Protocol.ANY,
    limits: GetLimits = QUICK,
    code: bool = False,
    fresh: bool = False,
) -> Download:
    where = Server(url=server.url, protocol=protocol, cache=cache)
    downloader = Downloader(servers=[where], limits=limits, is_fresh=fresh)
    found = downloader.fetch([] if code else [module], wants_code=[module] if code else [])
    assert len(found) == 1
    return found[0]


def test_a_sym_file_is_kept_in_the_layout_of_a_store(server: Answers, tmp_path: Path) -> None:
    server.files[SYM_PATH] = SYM
    found = fetch(server, tmp_path)
    assert found.state == "downloaded"
    assert found.path == tmp_path / "libapp.so" / SYM_ID / "libapp.so.sym"
    assert found.path.read_bytes() == SYM


def test_the_second_time_nothing_is_asked(server: Answers, tmp_path: Path) -> None:
    server.files[SYM_PATH] = SYM
    fetch(server, tmp_path)
    server.asked.clear()
    found = fetch(server, tmp_path)
    assert found.state == "cached"
    assert SYM_PATH not in server.paths()


def test_microsofts_paths_are_asked_packed_and_plain(server: Answers, tmp_path: Path) -> None:
    server.files[f"/app.exe/{STAMP}/app.ex_"] = cabinet("app.exe", pe_image())
    found = fetch(server, tmp_path, APP_EXE, protocol=Protocol.MICROSOFT, code=True)
    assert found.state == "downloaded", found
    assert server.paths() == [f"/app.exe/{STAMP}/app.exe", f"/app.exe/{STAMP}/app.ex_"]
    assert found.path == tmp_path / "app.exe" / STAMP / "app.ex_"


def test_an_image_with_another_time_stamp_is_refused(server: Answers, tmp_path: Path) -> None:
    server.files[f"/app.exe/{STAMP}/app.exe"] = pe_image(time_stamp=1)
    found = fetch(server, tmp_path, APP_EXE, protocol=Protocol.MICROSOFT, code=True)
    assert found.path is None
    assert not list(tmp_path.glob("app.exe/**/*.exe"))


def test_a_pointer_leads_nowhere_but_to_https(server: Answers, tmp_path: Path) -> None:
    server.files[f"/app.exe/{STAMP}/file.ptr"] = b"PATH:\\\\share\\symbols\\app.exe"
    found = fetch(server, tmp_path, APP_EXE, protocol=Protocol.MICROSOFT, code=True)
    assert found.state == "absent"
    assert "file.ptr says: PATH:\\\\share" in (found.reason or "")


def test_a_wrong_id_is_refused_and_not_kept(server: Answers, tmp_path: Path) -> None:
    server.files[SYM_PATH] = SYM.replace(b"DF740", b"DF750")
    found = fetch(server, tmp_path)
    assert found.state == "failed"
    assert "id differs" in (found.reason or "")
    assert not list(tmp_path.rglob("*.sym"))


def test_that_there_is_no_file_is_remembered_for_a_day(server: Answers, tmp_path: Path) -> None:
    assert fetch(server, tmp_path).state == "absent"
    server.asked.clear()
    server.files[SYM_PATH] = SYM
    assert fetch(server, tmp_path).state == "absent"
    assert server.asked == []
    assert fetch(server, tmp_path, fresh=True).state == "downloaded"


def test_a_server_that_fails_is_asked_again(server: Answers, tmp_path: Path) -> None:
    server.files[SYM_PATH] = SYM
    server.before[SYM_PATH] = status_once(500, 503)
    assert fetch(server, tmp_path).state == "downloaded"
    assert server.paths().count(SYM_PATH) == 3


def test_a_server_that_only_fails_is_no_missing_file(server: Answers, tmp_path: Path) -> None:
    server.before[SYM_PATH] = status_once(500, 500, 500)
    found = fetch(server, tmp_path)
    assert found.state == "failed"
    assert "500" in (found.reason or "")


def test_a_download_that_broke_off_goes_on(server: Answers, tmp_path: Path) -> None:
    body = SYM + b"FUNC 2000 10 0 more\n" * 5000
    server.files[SYM_PATH] = body
    server.before[SYM_PATH] = cut_once(body, 40_000)
    found = fetch(server, tmp_path)
    assert found.state == "downloaded", found
    assert found.path is not None
    assert found.path.read_bytes() == body
    assert [asked for path, asked in server.asked if path == SYM_PATH][1] == "bytes=40000-"


def test_what_broke_off_goes_on_in_the_next_run(server: Answers, tmp_path: Path) -> None:
    body = SYM + b"FUNC 2000 10 0 more\n" * 5000
    server.before[SYM_PATH] = cut_once(body, 30_000)
    once = replace(QUICK, tries=1)
    assert fetch(server, tmp_path, limits=once).state == "failed"
    server.files[SYM_PATH] = body
    assert fetch(server, tmp_path, limits=once).state == "downloaded"
    assert server.asked[-1] == (SYM_PATH, "bytes=30000-")


def test_a_file_that_changed_meanwhile_is_begun_anew(server: Answers, tmp_path: Path) -> None:
    server.before[SYM_PATH] = cut_once(b"x" * 90_000, 30_000, etag='"old"')
    server.files[SYM_PATH] = SYM
    found = fetch(server, tmp_path)
    assert found.path is not None
    assert found.path.read_bytes() == SYM


def test_a_redirect_is_followed(server: Answers, tmp_path: Path) -> None:
    server.files["/elsewhere"] = SYM
    server.before[SYM_PATH] = redirect("/elsewhere")
    assert fetch(server, tmp_path).state == "downloaded"


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        (SYM_PATH, "redirect"),
        ("http://symbols.example.com/a.sym", "not https"),
        ("file:///etc/passwd", "not allowed"),
        ("ftp://127.0.0.1/a.sym", "not https"),
    ],
)
def test_a_redirect_in_circles_or_to_worse_places_is_not_followed(
    server: Answers, tmp_path: Path, target: str, reason: str
) -> None:
    server.before[SYM_PATH] = redirect(target)
    found = fetch(server, tmp_path)
    assert found.state == "failed"
    assert reason in (found.reason or "")
    assert len(server.paths()) < 40


def test_a_file_above_the_limit_is_refused_before_it_comes(server: Answers, tmp_path: Path) -> None:
    server.files[SYM_PATH] = SYM + bytes(100_000)
    found = fetch(server, tmp_path, limits=replace(QUICK, max_bytes=1000))
    assert "the limit is 1,000" in (found.reason or "")


def test_an_endless_file_is_cut_off_at_the_limit(server: Answers, tmp_path: Path) -> None:
    server.before[SYM_PATH] = endless
    found = fetch(server, tmp_path, limits=replace(QUICK, max_bytes=3 << 20))
    assert "larger than the limit" in (found.reason or "")
    partial = list(tmp_path.glob(".lastwords/partial/*"))
    assert sum(path.stat().st_size for path in partial) <= 4 << 20


def test_a_silent_server_is_given_up(server: Answers, tmp_path: Path) -> None:
    ended = threading.Event()
    server.before[SYM_PATH] = silent(ended)
    found = fetch(server, tmp_path, limits=replace(QUICK, idle_s=0.2, tries=1))
    ended.set()
    assert found.state == "failed"
    assert found.reason == "it did not answer in time"


def test_a_server_that_is_not_there_is_asked_three_times_only(tmp_path: Path) -> None:
    with serve() as gone:
        pass
    modules = [replace(LIBAPP, code_file=f"/app/lib{n}.so") for n in range(9)]
    where = Server(url=gone.url, protocol=Protocol.ANY, cache=tmp_path)
    downloader = Downloader(servers=[where], limits=replace(QUICK, tries=1), parallel=1)
    began = time.monotonic()
    reasons = [one.reason or "" for one in downloader.fetch(modules)]
    assert all("refused" in reason for reason in reasons)
    assert reasons[-1].startswith("the server failed before: ")
    assert time.monotonic() - began < 30


def test_no_cookies_are_sent(server: Answers, tmp_path: Path) -> None:
    other = replace(LIBAPP, code_file="/app/libapp2.so")
    server.files[SYM_PATH] = SYM
    server.files[SYM_PATH.replace("libapp", "libapp2")] = SYM
    where = Server(url=server.url, protocol=Protocol.ANY, cache=tmp_path)
    downloads = Downloader(servers=[where], limits=QUICK).fetch([LIBAPP, other])
    assert [one.state for one in downloads] == ["downloaded", "downloaded"]
    assert server.cookies == []


def test_files_come_in_parallel(server: Answers, tmp_path: Path) -> None:
    together = threading.Barrier(3, timeout=20)
    modules = []
    for number in range(3):
        name = f"lib{number}.so"
        path = f"/{name}/{SYM_ID}/{name}.sym"
        server.files[path] = SYM
        server.before[path] = lambda _handler: together.wait() < 0
        modules.append(replace(LIBAPP, code_file=f"/app/{name}"))
    where = Server(url=server.url, protocol=Protocol.ANY, cache=tmp_path)
    found = Downloader(servers=[where], limits=QUICK, parallel=3).fetch(modules)
    assert {one.state for one in found} == {"downloaded"}


def test_debuginfod_is_asked_by_build_id(server: Answers, tmp_path: Path) -> None:
    build_id = "20a5ea22166c6b0f9cd9291334d716e2f023393e"
    module = WantedModule(code_file="/app/a", code_id=build_id, has_frames=True)
    found = fetch(server, tmp_path, module, protocol=Protocol.DEBUGINFOD)
    assert found.state == "absent"
    assert server.paths() == [f"/buildid/{build_id}/debuginfo"]

from __future__ import annotations

import os
import time
from pathlib import Path, PurePosixPath

import pytest

from lastwords.errors import SymbolsError
from lastwords.symbols import Protocol, WantedModule, default_cache, parse_places
from lastwords.symbols.download_cache import DownloadCache
from lastwords.symbols.requests import requests_for

HOME = {"XDG_CACHE_HOME": "/cache"}
DEFAULT = Path("/cache/lastwords/downloads")
MICROSOFT = "https://msdl.microsoft.com/download/symbols"


def servers(*texts: str, **options: bool) -> list[tuple[str, Protocol, Path]]:
    places = parse_places(texts, environment=HOME, **options)
    return [(one.url, one.protocol, one.cache) for one in places.servers]


@pytest.mark.parametrize(
    ("text", "cache"),
    [
        (f"srv*{MICROSOFT}", DEFAULT),
        (f"SRV*/near*{MICROSOFT}", Path("/near")),
        (f"symsrv*symsrv.dll*/near*{MICROSOFT}/", Path("/near")),
        (f"cache*/near;srv*{MICROSOFT}", Path("/near")),
    ],
)
def test_symbol_paths_name_server_and_cache(text: str, cache: Path) -> None:
    assert servers(text) == [(MICROSOFT, Protocol.MICROSOFT, cache)]


def test_an_address_alone_may_be_any_server() -> None:
    found = servers("https://symbols.mozilla.org/")
    assert found == [("https://symbols.mozilla.org", Protocol.ANY, DEFAULT)]


def test_paths_stay_paths(tmp_path: Path) -> None:
    odd = tmp_path / "a;b"
    odd.mkdir()
    places = parse_places([str(odd), "srv*/one*/two", "plain"], environment=HOME)
    assert places.paths == (odd, Path("/one"), Path("/two"), Path("plain"))
    assert places.servers == ()


def test_folders_behind_the_nearest_are_searched_too() -> None:
    places = parse_places([f"srv*/near*/far*{MICROSOFT}"], environment=HOME)
    assert places.paths == (Path("/far"),)
    assert places.servers[0].cache == Path("/near")


def test_the_variable_is_read_only_when_named(tmp_path: Path) -> None:
    environment = {**HOME, "_NT_SYMBOL_PATH": f"{tmp_path};srv*{MICROSOFT}"}
    assert parse_places([], environment=environment).servers == ()
    places = parse_places(["_NT_SYMBOL_PATH"], environment=environment)
    assert places.paths == (tmp_path,)
    assert places.servers[0].url == MICROSOFT


def test_debuginfod_is_asked_only_when_wanted() -> None:
    environment = {**HOME, "DEBUGINFOD_URLS": "ima:enforcing https://a.example https://b.example/"}
    assert parse_places([], environment=environment).servers == ()
    found = parse_places([], debuginfod=True, environment=environment).servers
    assert [(one.url, one.protocol) for one in found] == [
        ("https://a.example", Protocol.DEBUGINFOD),
        ("https://b.example", Protocol.DEBUGINFOD),
    ]


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (f"srv*{MICROSOFT}*/behind", "symbols_bad_source"),
        ("https://", "symbols_bad_source"),
        ("https://host:port/", "symbols_bad_source"),
        ("http://symbols.example.com", "symbols_insecure_url"),
        ("srv*http://symbols.example.com", "symbols_insecure_url"),
        ("http://127.evil.example", "symbols_insecure_url"),
        ("_NT_SYMBOL_PATH", "symbols_bad_source"),
    ],
)
def test_what_cannot_be_meant_is_refused(text: str, code: str) -> None:
    with pytest.raises(SymbolsError) as caught:
        servers(text)
    assert caught.value.code == code
    assert caught.value.exit_status == 2


def test_plain_http_is_for_loopback_or_by_wish() -> None:
    assert servers("http://127.0.0.1:8080", "http://localhost/s", "http://[::1]:1")
    assert servers("http://symbols.example.com", insecure_http=True)


def test_the_cache_is_the_users() -> None:
    assert default_cache({"XDG_CACHE_HOME": "/x"}) == Path("/x/lastwords/downloads")
    assert default_cache({"XDG_CACHE_HOME": "relative"}).is_relative_to(Path.home())


def test_requests_never_leave_their_folder() -> None:
    module = WantedModule(
        code_file="C:\\x\\..", debug_file="a/../..", code_id="5F3759DF2000", debug_id="A" * 33
    )
    assert list(requests_for(module, Protocol.ANY, wants_code=True)) == []


@pytest.mark.parametrize("protocol", list(Protocol))
def test_every_request_is_kept_below_the_cache(protocol: Protocol) -> None:
    elf = WantedModule(code_file="/a/lib c.so", code_id="ab" * 20, debug_id="C" * 33)
    for one in requests_for(elf, protocol, wants_code=True):
        assert not one.kept_as.is_absolute()
        assert ".." not in one.kept_as.parts
        assert " " not in one.path


def test_an_old_answer_that_there_is_no_file_is_forgotten(tmp_path: Path) -> None:
    cache = DownloadCache(root=tmp_path)
    cache.note_absent("https://a/b")
    assert cache.is_absent("https://a/b")
    marker = next(tmp_path.glob(".lastwords/absent/*"))
    old = time.time() - 25 * 3600
    os.utime(marker, (old, old))
    assert not cache.is_absent("https://a/b")
    assert cache.kept(PurePosixPath("b")) is None

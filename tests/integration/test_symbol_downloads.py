"""Symbols of a real crash from servers on loopback."""

from __future__ import annotations

import http.server
import json
import os
import socket
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest
from dying import DEADLINE_S
from targets import lastwords

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.integration

SOURCE = """\
#include <stdio.h>
static inline int touch(volatile int *where) { return *where; }
__attribute__((noinline)) int deep(int value) { return touch((volatile int *)8) + value; }
int main(int count, char **words) { return printf("%d", deep(count)) + !words; }
"""


class Site:
    """A folder served over HTTP, and what was asked."""

    def __init__(self, folder: Path) -> None:
        self.asked: list[str] = []
        asked = self.asked

        class Handler(http.server.SimpleHTTPRequestHandler):
            def __init__(self, *arguments: Any) -> None:
                super().__init__(*arguments, directory=str(folder))

            def log_message(self, *_words: object) -> None:
                asked.append(self.path)

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,))
        self.thread.start()

    def close(self) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


@pytest.fixture(scope="module")
def crash(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, str]:
    """The dump of a program that was stripped after it was built, its debug file, its build id."""
    folder = tmp_path_factory.mktemp("crash")
    (folder / "prog.c").write_text(SOURCE)
    build = ["cc", "-O2", "-g", "-Wl,--build-id", "-o", "prog", "prog.c"]
    subprocess.run(build, cwd=folder, check=True)
    for command in (["objcopy", "--only-keep-debug", "prog", "prog.debug"], ["strip", "prog"]):
        subprocess.run(command, cwd=folder, check=True)
    done = lastwords("run", "--", folder / "prog", cwd=folder)
    assert done.returncode != 0
    dump = next(folder.glob("*.dmp"))
    listed = subprocess.run(
        ["readelf", "-n", "prog"], cwd=folder, check=True, capture_output=True, text=True
    ).stdout
    build_id = next(line.split()[-1] for line in listed.splitlines() if "Build ID" in line)
    return dump, folder / "prog.debug", build_id


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    (tmp_path / "site").mkdir()
    site = Site(tmp_path / "site")
    yield site
    site.close()


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("DEBUGINFOD_URLS", raising=False)


def publish(site_folder: Path, path: str, content: bytes) -> None:
    place = site_folder / path
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(content)


def top_frame(dump: Path, cwd: Path, *options: object) -> dict[str, Any]:
    done = lastwords("analyze", dump, "--json", "--no-local-modules", *options, cwd=cwd)
    assert done.returncode == 0, done.stderr
    frame: dict[str, Any] = json.loads(done.stdout)["crashing_thread"]["frames"][0]
    return frame


@pytest.mark.parametrize("layout", ["debuginfod", "build-id", "ssqp", "breakpad"])
def test_an_analysis_downloads_what_its_stacks_lack(
    crash: tuple[Path, Path, str], site: Site, tmp_path: Path, layout: str
) -> None:
    dump, debug, build_id = crash
    sym = tmp_path / "prog.sym"
    words = ["symbols", "convert", debug, "-o", sym, "--name", "prog", "--json"]
    report = json.loads(lastwords(*words, cwd=tmp_path).stdout)
    path, content = {
        "debuginfod": (f"buildid/{build_id}/debuginfo", debug.read_bytes()),
        "build-id": (f".build-id/{build_id[:2]}/{build_id[2:]}.debug", debug.read_bytes()),
        "ssqp": (f"_.debug/elf-buildid-sym-{build_id}/_.debug", debug.read_bytes()),
        "breakpad": (f"prog/{report['debug_id']}/prog.sym", sym.read_bytes()),
    }[layout]
    publish(tmp_path / "site", path, content)
    assert top_frame(dump, tmp_path)["function"] is None
    frame = top_frame(dump, tmp_path, "--symbols", site.url)
    assert (frame["function"], frame["line"]) == ("deep", 3)
    assert [inline["function"] for inline in frame["inlines"]] == ["touch"]
    asked = len(site.asked)
    assert top_frame(dump, tmp_path, "--symbols", site.url)["function"] == "deep"
    assert path not in "".join(site.asked[asked:]), "it is in the cache now"


@pytest.mark.parametrize("way", ["--json", "--json-lines"])
def test_what_a_server_failed_at_is_in_the_document(
    crash: tuple[Path, Path, str], tmp_path: Path, way: str
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        gone = f"http://127.0.0.1:{taken.getsockname()[1]}"
    words = ["analyze", crash[0], way, "--strict", "--no-local-modules", "--symbols", gone]
    done = lastwords(*words, cwd=tmp_path)
    assert done.returncode == 5, done.stderr
    errors = json.loads(done.stdout)["soft_errors"]
    [failed] = [error for error in errors if error["code"] == "symbols_not_downloaded"]
    assert failed["where"].startswith(gone)
    assert failed["message"]


def test_stacks_of_a_dump_and_of_a_process_download_what_they_lack(
    crash: tuple[Path, Path, str], site: Site, tmp_path: Path
) -> None:
    dump, debug, build_id = crash
    publish(tmp_path / "site", f"buildid/{build_id}/debuginfo", debug.read_bytes())
    words = ["stacks", "--native", "--no-local-modules", dump]
    assert "deep" not in lastwords(*words, cwd=tmp_path).stdout
    shown = lastwords(*words, "--symbols", site.url, cwd=tmp_path)
    assert "deep" in shown.stdout, shown.stderr
    assert len(site.asked) > 0
    running = [sys.executable, "-c", "import time; print(flush=True); time.sleep(100)"]
    with subprocess.Popen(running, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        shown = lastwords("stacks", str(process.pid), f"--symbols={site.url}", cwd=tmp_path)
        process.kill()
    assert "<module>" in shown.stdout, shown.stderr


def test_stacks_say_what_is_wrong_with_a_symbol_source(
    crash: tuple[Path, Path, str], tmp_path: Path
) -> None:
    wrong = lastwords("stacks", crash[0], "--symbols", "ftp://server", cwd=tmp_path)
    assert wrong.returncode != 0
    assert "ftp://server" in wrong.stderr


def test_nothing_is_asked_unless_an_address_was_given(
    crash: tuple[Path, Path, str], site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEBUGINFOD_URLS", site.url)
    monkeypatch.setenv("_NT_SYMBOL_PATH", f"srv*{site.url}")
    top_frame(crash[0], tmp_path)
    for verb in ("missing", "find"):
        assert lastwords("symbols", verb, crash[0], cwd=tmp_path).returncode == 0
    assert site.asked == []


def test_debuginfod_is_asked_when_wanted(
    crash: tuple[Path, Path, str], site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dump, debug, build_id = crash
    monkeypatch.setenv("DEBUGINFOD_URLS", site.url)
    publish(tmp_path / "site", f"buildid/{build_id}/debuginfo", debug.read_bytes())
    assert top_frame(dump, tmp_path, "--debuginfod")["function"] == "deep"


def test_fetch_fills_a_store_and_tells_what_it_did(
    crash: tuple[Path, Path, str], site: Site, tmp_path: Path
) -> None:
    dump, debug, build_id = crash
    publish(tmp_path / "site", f"_.debug/elf-buildid-sym-{build_id}/_.debug", debug.read_bytes())
    source = f"srv*{tmp_path}/store*{site.url}"
    words = ["symbols", "fetch", dump, "--symbols", source, "--no-local-modules", "--json"]
    done = lastwords(*words, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    downloads = json.loads(done.stdout)["downloads"]
    mine = [one for one in downloads if one["code_id"] == build_id and one["role"] == "debug"]
    assert [one["state"] for one in mine] == ["downloaded"]
    kept = tmp_path / "store/.build-id" / build_id[:2] / f"{build_id[2:]}.debug"
    assert mine[0]["path"] == str(kept)
    assert kept.read_bytes() == debug.read_bytes()


def test_missing_tells_where_to_get_symbols(crash: tuple[Path, Path, str], tmp_path: Path) -> None:
    dump, debug, build_id = crash
    done = lastwords("symbols", "missing", dump, "--json", "--no-local-modules", cwd=tmp_path)
    modules = json.loads(done.stdout)["modules"]
    mine = next(module for module in modules if module["code_id"] == build_id)
    assert f"debuginfod: /buildid/{build_id}/debuginfo" in mine["hints"]
    words = ["symbols", "missing", dump, "--json", "--no-local-modules", "--symbols", debug]
    left = json.loads(lastwords(*words, cwd=tmp_path).stdout)["modules"]
    assert build_id not in [module["code_id"] for module in left]


def test_source_lines_stand_below_their_frames(
    crash: tuple[Path, Path, str], tmp_path: Path
) -> None:
    dump, debug, _ = crash
    words = ["analyze", dump, "--symbols", debug, "--source-path", debug.parent]
    done = lastwords(*words, cwd=tmp_path)
    assert "> " in done.stdout
    assert "    3  __attribute__((noinline)) int deep(int value)" in done.stdout
    (tmp_path / "empty").mkdir()
    words = ["analyze", dump, "--symbols", debug, "--source-path", tmp_path / "empty"]
    assert "__attribute__" not in lastwords(*words, cwd=tmp_path).stdout


def test_a_download_bar_is_shown_on_a_terminal_only(
    crash: tuple[Path, Path, str], site: Site, tmp_path: Path
) -> None:
    dump, debug, build_id = crash
    publish(tmp_path / "site", f"buildid/{build_id}/debuginfo", debug.read_bytes())
    command = [sys.executable, "-m", "lastwords", "symbols", "fetch", str(dump)]
    command += ["--symbols", site.url, "--no-local-modules"]
    leader, follower = os.openpty()
    try:
        done = subprocess.run(
            command,
            stdout=subprocess.PIPE,
            stderr=follower,
            timeout=DEADLINE_S,
            check=False,
            text=True,
            env={**os.environ, "TERM": "xterm"},
        )
        os.set_blocking(leader, False)
        shown = os.read(leader, 1 << 20).decode(errors="replace")
    finally:
        os.close(leader)
        os.close(follower)
    assert "downloaded" in done.stdout
    assert "\x1b[" in shown
    assert "\x1b[" not in done.stdout


def debugged(dump: Path, cwd: Path, *options: object, commands: str = "k") -> str:
    words = ["debug", "-z", dump, "--no-local-modules", *options, "-c", f"{commands};q"]
    done = lastwords(*words, cwd=cwd)
    assert done.returncode == 0, done.stderr
    return str(done.stdout)


def test_a_debugger_downloads_from_the_servers_that_the_user_typed(
    crash: tuple[Path, Path, str], site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dump, debug, build_id = crash
    publish(tmp_path / "site", f"_.debug/elf-buildid-sym-{build_id}/_.debug", debug.read_bytes())
    path = f"srv*{tmp_path / 'store'}*{site.url}"
    monkeypatch.setenv("_NT_SYMBOL_PATH", path)
    unasked = debugged(dump, tmp_path)
    assert "prog!deep" not in unasked
    assert f"*** {site.url}: not asked" in unasked
    assert site.asked == []
    assert "prog!deep" in debugged(dump, tmp_path, "-y", path)
    assert (tmp_path / "store").is_dir()
    assert "prog!deep" in debugged(dump, tmp_path), "the store's folder is read without asking"


def test_a_debugger_says_what_failed_and_noisy_what_came(
    crash: tuple[Path, Path, str], site: Site, tmp_path: Path
) -> None:
    dump, debug, build_id = crash
    publish(tmp_path / "site", f"_.debug/elf-buildid-sym-{build_id}/_.debug", debug.read_bytes())
    path = f"srv*{tmp_path / 'store'}*{site.url}"
    said = debugged(dump, tmp_path, commands=f"!sym noisy;.sympath {path};k;.reload /f")
    assert f"SYMSRV: prog: downloaded {tmp_path / 'store'}" in said
    assert "prog!deep" in said
    site.close()
    gone = debugged(dump, tmp_path, commands=f".sympath srv*{tmp_path / 'other'}*{site.url}")
    assert f"*** {site.url}/" in gone


def test_a_debugger_keeps_answers_about_symbols(
    crash: tuple[Path, Path, str], tmp_path: Path
) -> None:
    dump, debug, _ = crash
    cache = tmp_path / "answers"
    debugged(dump, tmp_path, "-y", debug, "--cache-dir", cache)
    assert list(cache.rglob("*")), "the first session fills it"
    again = tmp_path / "again"
    debugged(dump, tmp_path, "-y", debug, "--cache-dir", again, "--no-cache")
    assert not again.exists()

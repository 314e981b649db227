"""What a thread said on stderr before it gave up is reported; what it survived is not."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
from typing import TYPE_CHECKING

import pytest
from dying import PROGRAMS, Death, Home, run_python

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.integration

START = """
import ctypes, os, sys, threading, time
import lastwords
EARLY = os.environ.get("EARLY") and ctypes.CDLL(os.environ["LIBRARY"])
lastwords.install(product="p", version="1", dump_dir=os.environ["DUMPS"])
library = ctypes.CDLL(os.environ["LIBRARY"]) if os.environ["LIBRARY"] else None

"""


@pytest.fixture(scope="session")
def panics(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The library of panics.rs."""
    library = tmp_path_factory.mktemp("panics") / "libpanics.so"
    compiler = shutil.which("rustc")
    if compiler is None:
        pytest.fail("rustc is missing: install the toolchain of Cargo.toml")
    options = ["--edition=2021", "--crate-type=cdylib", "-C", "panic=unwind", "-o", str(library)]
    command = [compiler, *options, str(PROGRAMS / "panics.rs")]
    subprocess.run(command, check=True, timeout=300)
    return library


@pytest.fixture(scope="session")
def pure_virtual(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The library of virtual.cpp."""
    library = tmp_path_factory.mktemp("virtual") / "libvirtual.so"
    command = ["c++", "-shared", "-fPIC", "-O0", "-o", str(library), str(PROGRAMS / "virtual.cpp")]
    subprocess.run(command, check=True, timeout=120)
    return library


def run(home: Home, program: str, library: Path | str = "", **more: str) -> Death:
    arguments = ["-c", START + program]
    environment = {"DUMPS": str(home.spool), "LIBRARY": str(library), "RUST_BACKTRACE": "0"}
    return run_python(
        arguments, home, cwd=None, has_core=False, timeout_s=60, **environment, **more
    )


def words_of(home: Home) -> dict[str, str] | None:
    words: dict[str, str] | None = home.report().document["mechanism"]["last_words"]
    return words


def test_a_fatal_python_error_is_told(home: Home) -> None:
    death = run(home, 'ctypes.pythonapi.Py_FatalError(b"the cat has password=fish")')
    assert death.returncode == -signal.SIGABRT, death.stderr
    words = words_of(home)
    assert words is not None
    assert words["source"] == "python_fatal_error"
    assert words["text"].startswith("Fatal Python error: ")
    assert words["text"].endswith("the cat has password=[scrubbed]")


@pytest.mark.parametrize("early", ["", "1"])
@pytest.mark.parametrize("way", ["panic_across_the_border", "panic_in_a_thread"])
def test_a_panic_of_rust_is_told(way: str, early: str, home: Home, panics: Path) -> None:
    death = run(home, f"library.{way}()", panics, EARLY=early)
    assert death.returncode == -signal.SIGABRT, death.stderr
    words = words_of(home)
    assert words is not None
    assert words["source"] == "rust_panic"
    assert "panicked at" in words["text"]
    assert "index 7 of token=[scrubbed] is wrong" in words["text"]
    assert ("worker" in words["text"]) == (way == "panic_in_a_thread")


def test_a_long_panic_is_cut(home: Home, panics: Path) -> None:
    death = run(home, "library.panic_with_a_long_text()", panics)
    assert death.returncode == -signal.SIGABRT, death.stderr
    words = words_of(home)
    assert words is not None
    assert "panicked at" in words["text"]
    assert 800 < len(words["text"]) <= 1000
    assert words["text"].endswith("xxx")


def test_the_text_is_that_of_the_thread_that_died(home: Home, panics: Path) -> None:
    death = run(home, "library.panic_in_two_threads()", panics)
    assert death.returncode == -signal.SIGABRT, death.stderr
    words = words_of(home)
    assert words is not None
    assert "index 7" in words["text"]
    assert "caught" not in words["text"]


@pytest.mark.parametrize(
    "end",
    [
        "ctypes.string_at(0x10)",
        "threading.Thread(target=os.abort).start(); time.sleep(60)",
        "ctypes.CDLL(None).__assert_fail(b'a', b'b', 1, b'c')",
        "time.sleep(10.5); os.abort()",
    ],
    ids=["fault", "other-thread", "assertion", "later"],
)
def test_a_panic_that_was_caught_is_no_reason(end: str, home: Home, panics: Path) -> None:
    death = run(home, f"library.panic_and_catch()\n{end}", panics)
    assert death.returncode < 0, death.stderr
    assert "panicked at" in death.stderr
    assert words_of(home) is None


def test_a_pure_virtual_call_is_told(home: Home, pure_virtual: Path) -> None:
    death = run(home, "library.call_pure_virtual()", pure_virtual)
    assert death.returncode == -signal.SIGABRT, death.stderr
    expected = {"source": "pure_virtual_call", "text": "pure virtual method called"}
    assert words_of(home) == expected


def test_a_plain_abort_has_no_last_words(home: Home) -> None:
    run(home, 'print("thread of talk", file=sys.stderr); os.abort()')
    assert words_of(home) is None


def test_writing_is_as_before(home: Home) -> None:
    program = """
libc = ctypes.CDLL(None, use_errno=True)
try:
    os.write(99, b"x")
except OSError as error:
    print(error.errno)
print(os.write(2, b"seen on stderr"))
os.close(2)
try:
    os.write(2, b"thread 'x' panicked")
except OSError as error:
    print(error.errno)
"""
    death = run(home, program)
    assert death.returncode == 0
    assert death.stdout.split() == ["9", "14", "9"]
    assert death.stderr == "seen on stderr"


def test_a_forked_child_tells_its_own(home: Home, panics: Path) -> None:
    program = """
library.panic_and_catch()
pid = os.fork()
if pid == 0:
    library.panic_across_the_border()
os.waitpid(pid, 0)
"""
    death = run(home, program, panics)
    assert death.returncode == 0, death.stderr
    words = words_of(home)
    assert words is not None
    assert "index 7" in words["text"]
    assert json.dumps(home.report().document)

"""The hooks change nothing that a healthy host can see, and end none of its processes."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest
from dying import PROGRAMS, Home, run_python

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.integration

START = """
import ctypes, os, sys
import lastwords
host = ctypes.CDLL(sys.argv[1] + "/libhost.so")
ctypes.CDLL("libstdc++.so.6", mode=ctypes.RTLD_GLOBAL)
paths = [f"{sys.argv[1]}/{name}.so".encode() for name in sys.argv[2:]]

def install():
    installed = lastwords.install(product="p", version="1", dump_dir=os.environ["DUMPS"])
    assert installed.is_native_armed
"""
# Imports a hooked function into a slot that is read-only once the library is loaded.
ASKED = '#include <unistd.h>\nextern "C" int ask() { return (int)write(-1, "", 0); }\n'


@pytest.fixture(scope="session")
def libraries(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the host, libraries to be asked, and two that throw while they are loaded."""
    folder = tmp_path_factory.mktemp("host")
    thrower = PROGRAMS / "throw_at_load.cpp"
    sources: dict[str, list[str | Path]] = {
        "libhost": ["-O1", "-pthread", PROGRAMS / "host.cpp"],
        "text": ["-O0", thrower],
        "none": ["-O0", "-DWITHOUT_TEXT", thrower],
    }
    for name in ("ask", "other"):
        source = folder / f"{name}.cpp"
        source.write_text(ASKED)
        sources[name] = ["-Wl,-z,relro,-z,now", source]
    for name, arguments in sources.items():
        command: list[str | Path] = ["c++", "-shared", "-fPIC", "-o", folder / f"{name}.so"]
        command += arguments
        subprocess.run(command, check=True, timeout=120)
    return folder


def run_host(program: str, home: Home, libraries: Path, *names: str) -> str:
    source = home.folder / "host.py"
    source.write_text(START + program)
    death = run_python([source, str(libraries), *names], home, DUMPS=str(home.spool))
    assert death.returncode == 0, death.stderr
    assert home.reports() == []
    return death.stdout.strip()


def test_dlsym_and_pthread_create_leave_errno_alone(home: Home, libraries: Path) -> None:
    program = """
install()
print(host.errno_after_dlsym(paths[0]), host.errno_after_create(paths[1]))
"""
    assert run_host(program, home, libraries, "ask", "other") == "77 77"


def test_a_thread_made_by_a_forked_child_keeps_its_alternate_stack(
    home: Home, libraries: Path
) -> None:
    program = """
host.make_a_thread_in_children()
install()
child = os.fork()
if child == 0:
    os._exit(10 + host.second_thread_is_alone())
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    assert run_host(program, home, libraries) == "11"


def test_a_forked_child_can_load_libraries_whatever_other_threads_did(
    home: Home, libraries: Path
) -> None:
    program = """
install()
print(host.children_that_hang(paths[0], paths[1], 1500))
"""
    assert run_host(program, home, libraries, "ask", "other") == "0"


@pytest.mark.parametrize("where", ["throw_in_signal_handler", "throw_on_coroutine"])
def test_throws_on_foreign_stacks_pass(where: str, home: Home, libraries: Path) -> None:
    assert run_host(f"install()\nhost.{where}()\nprint('on')", home, libraries) == "on"


def test_a_type_at_the_place_of_an_unloaded_one_is_another_type(
    home: Home, libraries: Path
) -> None:
    program = "install()\nprint(host.load_by_turns(*paths))"
    assert run_host(program, home, libraries, "text", "none") == "0"

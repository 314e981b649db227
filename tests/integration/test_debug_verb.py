"""`lastwords debug` on dumps of programs that are compiled here, beside LLDB on the same dumps."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from foreign import tool

if TYPE_CHECKING:
    from pathlib import Path

SOURCE = r"""
#include <cstdio>
#include <cstring>
namespace ns {
enum class Color { Red = 1, Blue = 7 };
struct Inner { int a; double b; char name[8]; };
struct Node {
  unsigned flags : 3;
  unsigned more : 5;
  Color color;
  Inner inner;
  Inner arr[2];
  Node *next;
  const char *text;
  bool ok;
};
__attribute__((noinline)) int crash(Node *node, int count, double ratio) {
  char buffer[32];
  std::snprintf(buffer, sizeof buffer, "count=%d", count);
  int total = 0;
  for (int i = 0; i < count; ++i) total += (int)std::strlen(buffer);
  *(volatile int *)0 = total;
  return total + node->inner.a + buffer[1] + (int)ratio;
}
}
int main(int argc, char **argv) {
  ns::Node node;
  node.flags = 5; node.more = 17; node.color = ns::Color::Blue;
  node.inner = {11, 2.5, "inner"};
  node.arr[0] = {1, 1.5, "first"}; node.arr[1] = {2, 2.25, "second"};
  node.next = &node; node.text = "hello world"; node.ok = true;
  asm volatile("" : : "r"(&node) : "memory");
  return ns::crash(&node, argc + 2, 3.5);
}
"""
FLAGS = ["-O0", "-O1", "-O2 -gdwarf-4"]


def debug(dump: Path, commands: str) -> list[str]:
    """What the commands say, without the banner."""
    done = subprocess.run(
        [sys.executable, "-m", "lastwords", "debug", "-z", dump, "-c", f"{commands};q"],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    return done.stdout.partition("Reading initial command")[2].splitlines()[1:]


def lldb(program: Path, dump: Path, *commands: str) -> str:
    arguments = [tool("lldb-19"), "--batch", "--no-lldbinit"]
    for command in (f"target create {program} --core {dump}", *commands):
        arguments += ["-o", command]
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=120, check=True)
    return done.stdout


@pytest.fixture(scope="module", params=FLAGS)
def crashed(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Path]:
    """A program and the dump of its crash."""
    compiler = shutil.which("c++")
    if compiler is None:
        pytest.skip("no C++ compiler")
    folder = tmp_path_factory.mktemp("debug")
    (folder / "victim.cpp").write_text(SOURCE, "utf-8")
    program, dump = folder / "victim", folder / "victim.dmp"
    flags = request.param.split()
    subprocess.run([compiler, "-g", *flags, "-o", program, folder / "victim.cpp"], check=True)
    subprocess.run(
        [sys.executable, "-m", "lastwords", "run", "-q", "-o", dump, "--", program],
        check=False,
        capture_output=True,
        timeout=120,
    )
    assert dump.is_file()
    return program, dump


@pytest.mark.integration
def test_the_stack_shows_functions_places_and_values(crashed: tuple[Path, Path]) -> None:
    lines = debug(crashed[1], ".ecxr;kn;.frame 1;dt -r1 node;dt node.inner;dt node.text")
    text = "\n".join(lines)
    place = r"^0{} \S+ \S+ +victim!{}\+0x[0-9a-f]+ \[.*victim\.cpp @ {}\]"
    assert re.search(place.format(0, "ns::crash", 22), text, re.MULTILINE)
    assert re.search(place.format(1, "main", 33), text, re.MULTILINE)
    assert re.search(r"\+0x000 flags +: 0y101$", text, re.MULTILINE)
    assert re.search(r"\+0x000 more +: 0y10001$", text, re.MULTILINE)
    assert re.search(r"color +: Blue \(0n7\)$", text, re.MULTILINE)
    assert re.search(r"name +: char\[8\] \"second\"$", text, re.MULTILINE)
    assert re.search(r"text +: 0x\S+ \"hello world\"$", text, re.MULTILINE)
    assert re.search(r"ok +: true$", text, re.MULTILINE)


@pytest.mark.integration
@pytest.mark.foreign
def test_lldb_sees_the_same_frames(crashed: tuple[Path, Path]) -> None:
    theirs = re.findall(r"frame #\d+: 0x([0-9a-f]+) [^\s`]+`(\w[\w:]*)", lldb(*crashed, "bt"))
    ours = [
        re.match(r"(\S+) (\S+) +[\w.]+!([\w:]+)(?:\+0x[0-9a-f]+)?$", line)
        for line in debug(crashed[1], ".ecxr;kL")
    ]
    functions = [found.group(3) for found in ours if found]
    assert functions[:2] == ["ns::crash", "main"]
    assert functions[: len(theirs)] == [name for _, name in theirs][: len(functions)]
    returns = [int(found.group(2).replace("`", ""), 16) for found in ours if found]
    assert returns[: len(theirs) - 1] == [int(address, 16) for address, _ in theirs][1:]


@pytest.mark.integration
@pytest.mark.foreign
def test_lldb_sees_the_same_variables(crashed: tuple[Path, Path]) -> None:
    output = lldb(*crashed, "frame variable")
    line = r"^\((?:int|double|ns::Node \*)\) (\w+) = ([\w.]+)$"
    theirs = dict(re.findall(line, output, re.MULTILINE))
    ours: dict[str, str] = {}
    for line in debug(crashed[1], ".ecxr;dv"):
        if found := re.match(r" +(\w+) = (0n-?\d+|0x\S+|[\d.]+)", line):
            ours[found.group(1)] = found.group(2).removeprefix("0n").replace("`", "")
    assert theirs, output
    for name, value in theirs.items():
        assert name in ours, (name, ours)
        assert (
            float.fromhex(ours[name]) == float.fromhex(value)
            if "." in value
            else (int(ours[name], 0) == int(value, 0))
        )


@pytest.mark.integration
def test_a_python_process_shows_its_python(tmp_path: Path) -> None:
    program = tmp_path / "app.py"
    program.write_text(
        "import os, signal\n"
        "def inner(depth):\n"
        "    if depth:\n"
        "        return inner(depth - 1)\n"
        "    os.kill(os.getpid(), signal.SIGSEGV)\n"
        "inner(2)\n",
        "utf-8",
    )
    dump = tmp_path / "app.dmp"
    subprocess.run(
        [sys.executable, "-m", "lastwords", "run", "-q", "-o", dump, "--", sys.executable, program],
        check=False,
        capture_output=True,
        timeout=120,
    )
    lines = debug(dump, "kL;!py;!gil;!pylocals")
    stack = [line for line in lines if line.startswith("(Python Frame)")]
    assert [line.rsplit("!", 1)[1] for line in stack] == ["inner"] * 3 + ["<module>"]
    evaluation = [line.split()[0] for line in lines if "!_PyEval_EvalFrameDefault+" in line]
    assert len(evaluation) == len(set(evaluation)), "a native frame is shown once"
    assert any(line.startswith("GIL ~0 ") for line in lines)
    assert any(f"[{program} @ 5]" in line for line in lines)
    assert any("install(python_locals=True)" in line for line in lines)


@pytest.mark.integration
def test_standard_input_is_a_script(crashed: tuple[Path, Path]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "lastwords", "debug", "-z", crashed[1]],
        input="? 1+1\n.lastevent\nq\nnever\n",
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert "Evaluate expression: 2 = 00000000`00000002" in done.stdout
    assert "SIGSEGV" in done.stdout
    assert "never" not in done.stdout


def test_a_file_that_is_no_dump_ends_with_status_3(tmp_path: Path) -> None:
    (tmp_path / "x.dmp").write_text("nothing", "utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "lastwords", "debug", "-z", tmp_path / "x.dmp", "-c", "q"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 3
    assert "a text file" in done.stderr

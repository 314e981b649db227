"""Our `.sym` files beside those of Breakpad's dump_syms, and read by Breakpad."""

from __future__ import annotations

import bisect
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from dying import DEADLINE_S
from foreign import BREAKPAD, tool
from targets import lastwords

pytestmark = [pytest.mark.integration, pytest.mark.foreign]

SOURCE = """\
#include <vector>
static inline int square(int value) { return value * value; }
__attribute__((noinline)) int work(std::vector<int> &values) {
    int sum = 0;
    for (int value : values) sum += square(value);
    if (sum > 3) *(volatile int *)8 = sum;
    return sum;
}
int main(int count, char **) {
    std::vector<int> values;
    for (int i = 0; i < count + 5; i++) values.push_back(i);
    return work(values);
}
"""


@dataclass
class Sym:
    """A `.sym` file, as far as it is compared."""

    files: dict[int, str] = field(default_factory=dict)
    functions: dict[int, tuple[int, str]] = field(default_factory=dict)
    lines: list[tuple[int, int, int, str]] = field(default_factory=list)
    frames: dict[int, tuple[int, frozenset[str]]] = field(default_factory=dict)

    def line_at(self, address: int) -> tuple[int, str] | None:
        index = bisect.bisect_right(self.lines, (address, 1 << 62, 0, "")) - 1
        start, size, line, file = self.lines[index]
        return (line, file) if start <= address < start + size else None


def read(text: str) -> Sym:
    sym = Sym()
    for row in text.splitlines():
        words = row.split(" ")
        if words[0] == "FILE":
            sym.files[int(words[1])] = " ".join(words[2:])
        elif words[0] == "FUNC":
            words = words[:1] + [word for word in words[1:3] if word != "m"] + words[3:]
            sym.functions[int(words[1], 16)] = (int(words[2], 16), " ".join(words[4:]))
        elif row.startswith("STACK CFI INIT "):
            rules = frozenset(" ".join(words[5:]).split(" "))
            sym.frames[int(words[3], 16)] = (int(words[4], 16), rules)
        elif len(words) == 4 and words[0] not in {"MODULE", "INFO", "PUBLIC", "INLINE", "STACK"}:
            start, size = int(words[0], 16), int(words[1], 16)
            sym.lines.append((start, size, int(words[2]), sym.files[int(words[3])]))
    sym.lines.sort()
    return sym


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("program")
    (folder / "work.cpp").write_text(SOURCE)
    command = ["c++", "-O2", "-g", "-Wl,--build-id", "-o", "work", "work.cpp"]
    subprocess.run(command, cwd=folder, check=True)
    return folder / "work"


def test_breakpads_own_records_are_all_in_ours(program: Path, tmp_path: Path) -> None:
    theirs = read(
        subprocess.run(
            [tool(BREAKPAD / "dump_syms"), program],
            capture_output=True,
            text=True,
            check=True,
            timeout=DEADLINE_S,
        ).stdout
    )
    out = tmp_path / "work.sym"
    assert lastwords("symbols", "convert", program, "-o", out, cwd=tmp_path).returncode == 0
    ours = read(out.read_text())
    assert len(theirs.functions) >= 2
    assert {start: ours.functions.get(start) for start in theirs.functions} == theirs.functions
    addresses = [a for start, size, _, _ in theirs.lines for a in range(start, start + size)]
    assert len(addresses) > 100
    differ = [a for a in addresses if ours.line_at(a) != theirs.line_at(a)]
    assert differ == []
    same = [start for start in theirs.frames if ours.frames.get(start) == theirs.frames[start]]
    # Of a procedure linkage table theirs counts the part too that its rules do not hold for; of
    # `_start`, which nobody called, theirs has a return address.
    assert len(theirs.frames) - len(same) <= 2


def test_breakpads_stackwalk_reads_our_file(program: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    assert lastwords("symbols", "convert", program, "--store", store, cwd=tmp_path).returncode == 0
    lastwords("run", "--", program, cwd=tmp_path)
    dump = next(tmp_path.glob("*.dmp"))
    done = subprocess.run(
        [tool(BREAKPAD / "minidump_stackwalk"), "-m", dump, store],
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )
    rows = [row.split("|") for row in done.stdout.splitlines() if row.startswith("0|")]
    assert rows[0][3] == "work(std::vector<int, std::allocator<int> >&)"
    assert Path(rows[0][4]).name == "work.cpp"
    assert rows[1][3] == "main"

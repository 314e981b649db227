"""`python -m fuzz`: damage, read, keep what the reader could not bear."""

from __future__ import annotations

import os
import random
import select
import subprocess
import sys
import tarfile
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from fuzz.own_dumps import make_dumps
from fuzz.targets import Seeds, targets

if TYPE_CHECKING:
    from collections.abc import Callable

    from fuzz.targets import Input

REPOSITORY = Path(__file__).parents[1]
FINDINGS = REPOSITORY / "fuzz/findings"
DEADLINE_S = 20.0
EXPECTED = ("dump_", "symbol_file_", "convert_")
"""What the codes of orderly refusals begin with; anything else but `ok` is a finding."""
MAGICS = (b"\x7fELF", b"MZ", b"Microsoft C/C++ MSF", b"\xcf\xfa\xed\xfe", b"\xca\xfe\xba\xbe")
MOST_IMAGE_BYTES = 2 << 20
"""Of a file that is damaged again and again."""


@dataclass(slots=True)
class Reader:
    """The child, started anew when it died."""

    process: subprocess.Popen[str] | None = None

    def read(self, line: str) -> str:
        """The child's answer, or how it failed."""
        if self.process is None or self.process.poll() is not None:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "fuzz.reader"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                cwd=REPOSITORY,
            )
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        if not select.select([self.process.stdout], [], [], DEADLINE_S)[0]:
            self.end()
            return f"no answer within {DEADLINE_S:g} s"
        answer = self.process.stdout.readline().strip()
        return answer or f"died with status {self.process.wait()}"

    def end(self) -> None:
        """End the child."""
        if self.process is not None:
            self.process.kill()
            self.process.communicate()


@dataclass(slots=True)
class Tally:
    """What a target's inputs led to."""

    answers: Counter[str] = field(default_factory=Counter)
    findings: int = 0


def _seeds(folder: Path) -> Path:
    """Real files: the corpus, unpacked."""
    archive = Path(
        os.environ.get("LASTWORDS_CORPUS", REPOSITORY / "../shared/corpus/corpus.tar.xz")
    )
    if not archive.is_file():
        sys.exit(f"error: no dumps to damage: {archive} is missing\nhint: set LASTWORDS_CORPUS")
    with tarfile.open(archive) as packed:
        packed.extractall(folder, filter="data")
    return folder


def _images(folder: Path) -> tuple[list[Path], list[Path]]:
    """Object and debug files; cores and microdumps."""
    images, others = [], []
    for file in sorted(folder.rglob("*")):
        if not file.is_file() or not 0 < file.stat().st_size <= MOST_IMAGE_BYTES:
            continue
        head = file.read_bytes()[:64]
        is_core = head.startswith(b"\x7fELF") and head[16:18] == b"\x04\x00"
        if is_core or "microdump" in file.name:
            others.append(file)
        elif head.startswith(MAGICS):
            images.append(file)
    return images, others


def _run(name: str, make: Callable[[random.Random], Input], seconds: float, seed: int) -> Tally:
    reader, tally, number = Reader(), Tally(), 0
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        number += 1
        made = make(random.Random(f"{name} {seed} {number}"))
        answer = reader.read(made.line())
        tally.answers[answer] += 1
        if answer != "ok" and not answer.startswith(EXPECTED):
            tally.findings += 1
            _keep(f"{name}-{seed}-{number}", made, answer)
    reader.end()
    return tally


def _keep(name: str, made: Input, answer: str) -> None:
    folder = FINDINGS / name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "answer.txt").write_text(f"{answer}\n{made.line()}\n")
    for file in [made.file, *(made.symbols.iterdir() if made.symbols else ())]:
        (folder / file.name).write_bytes(file.read_bytes())
    print(f"FINDING: {answer}; kept in {folder.relative_to(REPOSITORY)}", flush=True)


def main() -> None:
    """Run all targets; end with status 1 if there was a finding."""
    seconds = float(os.environ.get("FUZZ_SECONDS", "60"))
    seed = int(os.environ.get("FUZZ_SEED", time.time_ns() % 10**9))
    wanted = set(filter(None, os.environ.get("FUZZ_TARGETS", "").split(",")))
    with tempfile.TemporaryDirectory() as text:
        scratch = Path(text)
        folder = _seeds(scratch / "seeds")
        dumps = [dump for dump in sorted(folder.rglob("*.dmp")) if dump.stat().st_size]
        own = make_dumps(scratch / "own")
        seeds = Seeds(dumps, sorted(folder.rglob("*.sym")), own, *_images(folder))
        print(
            f"FUZZ_SEED={seed}, {len(dumps)} dumps and {len(seeds.own)} of our own, "
            f"{len(seeds.symbols)} text symbol files, {len(seeds.images)} object files, "
            f"{len(seeds.others)} cores and microdumps",
            flush=True,
        )
        findings = 0
        for name, make in targets(seeds, scratch).items():
            if wanted and name not in wanted:
                continue
            tally = _run(name, make, seconds, seed)
            findings += tally.findings
            print(
                f"{name}: {sum(tally.answers.values())} inputs, {dict(tally.answers)}", flush=True
            )
    sys.exit(1 if findings else 0)


if __name__ == "__main__":
    main()

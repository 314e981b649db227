"""The corpus of real dumps, unpacked once into `.tools/`."""

from __future__ import annotations

import csv
import os
import subprocess
import tempfile
from functools import lru_cache
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]


def corpus() -> Path:
    """The folder that holds `files/`; skips the test when this machine has no corpus.

    `LASTWORDS_CORPUS` names the archive or an unpacked folder; else it is
    `../shared/corpus/corpus.tar.xz` beside the repository.
    """
    beside = REPOSITORY.parent / "shared/corpus/corpus.tar.xz"
    source = Path(os.environ.get("LASTWORDS_CORPUS", beside))
    if source.is_dir():
        return source
    if not source.is_file():
        pytest.skip(f"no corpus at {source}; set LASTWORDS_CORPUS")
    return _unpacked(source)


def malformed_dumps() -> list[Path]:
    """Every file of the corpus that is marked as a malformed minidump."""
    source = Path(os.environ.get("LASTWORDS_CORPUS", REPOSITORY.parent / "shared/corpus/x"))
    manifest = source.parent / "MANIFEST.tsv"
    if not manifest.is_file():
        pytest.skip(f"no list of the corpus at {manifest}")
    with manifest.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    return [
        corpus() / row["file"]
        for row in rows
        if (row["kind"], row["format"]) == ("malformed", "minidump")
    ]


@lru_cache
def _unpacked(archive: Path) -> Path:
    cache = REPOSITORY / ".tools"
    folder = cache / f"corpus-{archive.stat().st_size}"
    if not folder.is_dir():
        cache.mkdir(exist_ok=True)
        partial = tempfile.mkdtemp(dir=cache)
        subprocess.run(["tar", "-xf", archive, "-C", partial], check=True)
        Path(partial).rename(folder)
    return folder

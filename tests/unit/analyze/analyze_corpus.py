"""The corpus of real dumps, unpacked once, and its manifest."""

from __future__ import annotations

import csv
import os
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).parents[3]
SHARED = REPOSITORY.parent / "shared/corpus"


@dataclass(frozen=True)
class CorpusFile:
    path: Path
    name: str
    kind: str
    format: str


def corpus_source() -> Path:
    """The archive, or an unpacked folder: `LASTWORDS_CORPUS`, else beside the repository."""
    return Path(os.environ.get("LASTWORDS_CORPUS", SHARED / "corpus.tar.xz"))


def unpacked(source: Path, cache: Path) -> Path:
    """The folder that holds `files/`; an archive is unpacked into `cache` once."""
    if source.is_dir():
        return source
    folder = cache / f"corpus-{source.stat().st_size}"
    if not folder.is_dir():
        partial = Path(tempfile.mkdtemp(dir=cache))
        subprocess.run(["tar", "-xf", source, "-C", partial], check=True)
        partial.rename(folder)
    return folder


def manifest(root: Path) -> list[CorpusFile]:
    own = root / "MANIFEST.tsv"
    with (own if own.is_file() else SHARED / "MANIFEST.tsv").open(encoding="utf-8") as file:
        return [
            CorpusFile(root / row["file"], row["file"], row["kind"], row["format"])
            for row in csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
        ]

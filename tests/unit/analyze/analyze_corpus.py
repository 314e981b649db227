"""The corpus of real dumps, unpacked once, and its manifest."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from typing import TYPE_CHECKING

from corpus_folder import SHARED

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class CorpusFile:
    path: Path
    name: str
    kind: str
    format: str


def manifest(root: Path) -> list[CorpusFile]:
    own = root / "MANIFEST.tsv"
    with (own if own.is_file() else SHARED / "MANIFEST.tsv").open(encoding="utf-8") as file:
        return [
            CorpusFile(root / row["file"], row["file"], row["kind"], row["format"])
            for row in csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
        ]

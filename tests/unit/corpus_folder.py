"""Where the corpus of real dumps is: unpacked once."""

from __future__ import annotations

import os
import subprocess
import tempfile
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
SHARED = REPOSITORY.parent / "shared/corpus"


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

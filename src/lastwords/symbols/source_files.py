"""Source lines of frames: files below given folders, found by the longest common end of their path.

A debug file names sources by the paths of the machine that compiled them: `/build/app/src/run.cpp`.
Below `--source-path DIR`, it is the file whose path ends most like it, `DIR/src/run.cpp` before
`DIR/old/run.cpp`. One name in common is enough only for a file that lies in DIR itself.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lastwords.errors import SymbolsError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

__all__ = ["SourceFiles", "SourceLine", "has_checksum"]

_MAX_FILES = 200_000
_MAX_FILE_BYTES = 8 << 20
_MAX_LINE_CHARS = 200
_SKIPPED = frozenset((".git", ".hg", ".svn", "node_modules", "__pycache__"))


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceLine:
    """One line of a file; `is_current`: the frame stands in it."""

    number: int
    text: str
    is_current: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class _Candidate:
    path: Path
    parts: tuple[str, ...]
    """From the folder that was given."""


class SourceFiles:
    """The source files below some folders.

    Args:
        folders: Searched in this order; listed once, when first asked.
        unchanged_since: A time (seconds since 1970-01-01 UTC): a file that is found in no folder
            is read where the debug information says that it was compiled, if it is there and was
            not changed later than this.
        checksums: Source file as the debug information names it → `md5:…`, `sha1:…` or `sha256:…`
            of what was compiled; another file is not shown.
        download: Gets a file that is in none of the folders from where its module says that it
            is; `None` when it cannot be had.

    Raises:
        SymbolsError: `symbols_not_found`: a folder is not there.
    """

    def __init__(
        self,
        folders: Iterable[Path],
        checksums: Mapping[str, str] | None = None,
        *,
        unchanged_since: float | None = None,
        download: Callable[[str], Path | None] | None = None,
    ) -> None:
        self._folders = tuple(folders)
        self._unchanged_since = unchanged_since
        self._checksums = dict(checksums or {})
        self._download = download
        self._by_name: dict[str, list[_Candidate]] | None = None
        self._texts: dict[Path, list[str] | None] = {}
        for folder in self._folders:
            if not folder.is_dir():
                raise SymbolsError(
                    "symbols_not_found",
                    f"source path {folder}: there is no such folder",
                    "check the path given to --source-path",
                )

    def around(self, file: str, line: int, *, context: int = 3) -> tuple[SourceLine, ...]:
        """Return the lines around one, at most `context` on each side.

        Args:
            file: As the debug information names it, of any system.
            line: From 1.
            context: Lines on each side.

        Returns:
            Nothing when the file is not found, is another, or is shorter.
        """
        path = self.find(file) or self._in_place(file) or self._downloaded(file)
        lines = self._lines(path) if path else None
        if not lines or not 1 <= line <= len(lines):
            return ()
        first = max(1, line - context)
        shown = lines[first - 1 : line + context]
        return tuple(
            SourceLine(number=number, text=text[:_MAX_LINE_CHARS], is_current=number == line)
            for number, text in enumerate(shown, first)
        )

    def find(self, file: str) -> Path | None:
        """Return the file that a path of the debug information means; `None` when in doubt."""
        checksum = self._checksums.get(file)
        parts = tuple(part for part in re.split(r"[/\\]+", file) if part not in {"", "."})
        if not parts or ".." in parts[-1:]:
            return None
        candidates = self._index().get(parts[-1].lower(), [])
        ranked = sorted(candidates, key=lambda one: -_common_end(one.parts, parts))
        good = [one for one in ranked if _is_enough(one.parts, parts)]
        if checksum is not None:
            return next((one.path for one in good if has_checksum(one.path, checksum)), None)
        best = [
            one
            for one in good
            if _common_end(one.parts, parts) == _common_end(good[0].parts, parts)
        ]
        # Two files that end alike, and are not the same, could be either.
        if len(best) > 1 and not _are_equal([one.path for one in best]):
            return None
        return best[0].path if best else None

    def _downloaded(self, file: str) -> Path | None:
        """The file from where its module says that it is, if it is what was compiled."""
        path = self._download(file) if self._download else None
        checksum = self._checksums.get(file)
        if path and checksum is not None and not has_checksum(path, checksum):
            return None
        return path

    def _in_place(self, file: str) -> Path | None:
        """The file where it was compiled, on this machine, as it was then."""
        path = Path(file)
        if self._unchanged_since is None or not path.is_absolute() or not path.is_file():
            return None
        return path if path.stat().st_mtime <= self._unchanged_since else None

    def _index(self) -> dict[str, list[_Candidate]]:
        if self._by_name is None:
            self._by_name = {}
            left = _MAX_FILES
            for folder in self._folders:
                for root, folders, names in os.walk(folder):
                    folders[:] = sorted(set(folders) - _SKIPPED)
                    inside = Path(root).relative_to(folder).parts
                    for name in names[:left]:
                        candidate = _Candidate(path=Path(root, name), parts=(*inside, name))
                        self._by_name.setdefault(name.lower(), []).append(candidate)
                    left = max(0, left - len(names))
        return self._by_name

    def _lines(self, path: Path) -> list[str] | None:
        if path not in self._texts:
            self._texts[path] = None
            if path.is_file() and path.stat().st_size <= _MAX_FILE_BYTES:
                text = path.read_text(encoding="utf-8", errors="replace")
                self._texts[path] = text.splitlines()
        return self._texts[path]


def _common_end(one: Sequence[str], other: Sequence[str]) -> int:
    count = 0
    for mine, theirs in zip(reversed(one), reversed(other), strict=False):
        if mine.lower() != theirs.lower():
            break
        count += 1
    return count


def _is_enough(parts: Sequence[str], wanted: Sequence[str]) -> bool:
    common = _common_end(parts, wanted)
    return common >= 2 or common == len(parts)


def has_checksum(path: Path, checksum: str) -> bool:
    """Whether a file is the one that was compiled, whichever way its lines end."""
    import hashlib  # noqa: PLC0415  (3 ms)

    algorithm, _, expected = checksum.partition(":")
    if algorithm not in {"md5", "sha1", "sha256"} or path.stat().st_size > _MAX_FILE_BYTES:
        return False
    content = path.read_bytes()
    unix = content.replace(b"\r\n", b"\n")
    forms = (content, unix, unix.replace(b"\n", b"\r\n"))
    digests = (hashlib.new(algorithm, one, usedforsecurity=False).hexdigest() for one in forms)
    return expected.lower() in digests


def _are_equal(paths: Sequence[Path]) -> bool:
    first = paths[0].read_bytes()
    return all(path.read_bytes() == first for path in paths[1:])

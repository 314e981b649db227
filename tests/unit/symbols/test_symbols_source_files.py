from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import pytest

from lastwords.errors import SymbolsError
from lastwords.symbols.source_files import SourceFiles

if TYPE_CHECKING:
    from pathlib import Path


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_the_longest_common_end_wins(tmp_path: Path) -> None:
    right = write(tmp_path / "app/src/run.cpp", "right")
    write(tmp_path / "old/src/run.cpp", "wrong")
    sources = SourceFiles([tmp_path])
    assert sources.find("/build/x/app/src/run.cpp") == right
    assert sources.find("C:\\build\\App\\src\\RUN.cpp") == right


def test_a_name_alone_is_enough_only_at_the_top(tmp_path: Path) -> None:
    write(tmp_path / "deep/main.c", "other")
    assert SourceFiles([tmp_path]).find("/build/main.c") is None
    top = write(tmp_path / "main.c", "top")
    assert SourceFiles([tmp_path]).find("/build/main.c") == top


def test_two_that_end_alike_are_in_doubt_unless_they_are_equal(tmp_path: Path) -> None:
    first = write(tmp_path / "a/src/run.cpp", "one")
    second = write(tmp_path / "b/src/run.cpp", "two")
    assert SourceFiles([tmp_path]).find("/build/src/run.cpp") is None
    second.write_text("one")
    assert SourceFiles([tmp_path]).find("/build/src/run.cpp") == first


def test_the_checksum_decides_whichever_way_lines_end(tmp_path: Path) -> None:
    write(tmp_path / "a/src/run.cpp", "int one;\n")
    right = write(tmp_path / "b/src/run.cpp", "int two;\n")
    digest = hashlib.sha256(b"int two;\r\n").hexdigest()

    def find(checksum: str) -> Path | None:
        return SourceFiles([tmp_path], {"src/run.cpp": checksum}).find("src/run.cpp")

    assert find(f"sha256:{digest}") == right
    assert find("sha256:" + "0" * 64) is None
    assert find("crc:1") is None


def test_lines_around_stop_at_both_ends(tmp_path: Path) -> None:
    write(tmp_path / "run.py", "one\ntwo\nthree\n")
    sources = SourceFiles([tmp_path])
    lines = sources.around("/srv/run.py", 1, context=1)
    assert [(one.number, one.text, one.is_current) for one in lines] == [
        (1, "one", True),
        (2, "two", False),
    ]
    assert [one.number for one in sources.around("run.py", 3, context=5)] == [1, 2, 3]
    assert sources.around("run.py", 4) == ()
    assert sources.around("nowhere.py", 1) == ()


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SymbolsError) as caught:
        SourceFiles([tmp_path / "nowhere"])
    assert caught.value.code == "symbols_not_found"


def test_a_file_that_is_where_it_was_compiled_is_read_unless_it_was_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = write(tmp_path / "run.py", "one\ntwo\n")
    changed_s = path.stat().st_mtime

    def around(unchanged_since: float | None) -> int:
        return len(SourceFiles((), unchanged_since=unchanged_since).around(str(path), 1))

    assert around(changed_s) == 2
    assert around(changed_s - 1) == 0
    assert around(None) == 0
    assert not SourceFiles((), unchanged_since=changed_s).around("run.py", 1)
    assert not SourceFiles((), unchanged_since=changed_s).around(str(tmp_path), 1)

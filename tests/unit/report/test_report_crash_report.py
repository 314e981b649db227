from __future__ import annotations

import json
import re
from dataclasses import fields, is_dataclass
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from lastwords.report import crash_report
from lastwords.report.crash_report import CrashReport, SoftError, protected_fields

DUMP = {
    "file": "dump.dmp", "size_bytes": 4, "kind": "custom", "flags": 6182, "is_cut": False,
    "compression": "zstd", "stopped_ms": 1.5,
}  # fmt: skip
DOCUMENT = {
    "schema": 1,
    "report_id": "0f1e2d3c-4b5a-4978-8695-a4b3c2d1e0f9",
    "created": "2026-11-20T18:13:00.123Z",
    "product": "p",
    "version": "1",
    "url": None,
    "client_id": "1f1e2d3c-4b5a-4978-8695-a4b3c2d1e0f9",
    "mechanism": {
        "type": "signal", "handled": False, "description": None,
        "abort_message": None,
        "last_words": {"source": "rust_panic", "text": "thread 'x' panicked"},
        "stack_overflow": {"stack_bytes": 8192, "limit_bytes": None},
        "signal": {"number": 11, "name": "SIGSEGV", "code": 1, "code_name": "SEGV_MAPERR",
                   "address": "0x0000000000000000", "access": "write"},
        "cpp_exception": {"type": "std::runtime_error", "what": "w",
                          "frames": ["0x0000000000000010"]},
        "end": {"cause": "sigkill", "certainty": "known", "exit_code": None, "signal": 9,
                "evidence": ["e"]},
    },
    "process": {"pid": 1, "tid": 2, "executable": "/p", "python_version": "3.11.7",
                "start_time": None},
    "system": {"os": "Linux", "os_version": "6.1", "arch": "x86_64"},
    "annotations": {"a": "x", "b": 1, "c": 1.5, "d": True},
    "breadcrumbs": [{"time": "2026-11-20T18:12:59.123Z", "level": "info", "category": None,
                     "message": "saved", "data": {"size": 3}, "is_cut": None}],
    "exception": {
        "type": "E", "module": "m", "message": "t", "notes": ["n"], "thread_name": "T",
        "frames": [{"function": "f", "qualname": "C.f", "file": "f.py", "line": 1, "column": 0,
                    "end_line": 1, "end_column": 3}],
        "cause": {"type": "F", "module": None, "message": None, "notes": [], "thread_name": None,
                  "frames": [], "cpp_throw": None, "cause": None, "context": None},
        "cpp_throw": {"type": "Failure", "what": None, "frames": ["m.so!f+0x1"]},
        "context": None,
    },
    "dump": DUMP,
    "dumps": [DUMP],
    "attachments": [{"name": "a", "file": "attachments/a", "size_bytes": 1, "is_cut": False}],
    "capture": {"threads": "ptrace", "memory": "proc_mem"},
    "soft_errors": [{"code": "c", "where": "w", "message": "m"}],
}  # fmt: skip

ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)


def test_a_whole_document_goes_through_unchanged() -> None:
    assert json.loads(CrashReport.from_json(DOCUMENT).to_json()) == DOCUMENT


def test_an_empty_document_is_a_report_without_anything() -> None:
    assert CrashReport.from_json({}) == CrashReport()


def test_a_field_of_the_wrong_type_is_missing_and_named() -> None:
    report = CrashReport.from_json(
        {"product": 3, "process": {"pid": "x"}, "exception": {"frames": [7, {"line": True}]}}
    )
    assert report.product is None
    assert report.process is not None
    assert report.process.pid is None
    assert [problem.where for problem in report.soft_errors] == [
        "$.product", "$.process.pid", "$.exception.frames[0]", "$.exception.frames[1].line",
    ]  # fmt: skip
    assert isinstance(report.soft_errors[0], SoftError)


@given(st.dictionaries(st.sampled_from(sorted(DOCUMENT)), ANY))
def test_no_document_makes_decoding_raise(document: dict) -> None:
    json.loads(CrashReport.from_json(document).to_json())


def test_an_endless_chain_of_causes_is_cut() -> None:
    document: dict = {"exception": {"type": "E"}}
    inner = document["exception"]
    for _ in range(500):
        inner["cause"] = {"type": "E"}
        inner = inner["cause"]
    report = CrashReport.from_json(document)
    assert report.soft_errors[0].code == "report_field_malformed"


def _classes() -> list[type]:
    found = [getattr(crash_report, name) for name in crash_report.__all__]
    return [item for item in found if isinstance(item, type) and is_dataclass(item)]


def test_every_field_says_who_may_see_it() -> None:
    for kind in _classes():
        for item in fields(kind):
            assert item.metadata["access"] in ("public", "protected"), (kind, item.name)


def test_the_classes_are_those_of_the_document_page() -> None:
    page = (Path(__file__).parents[3] / "docs/formats/report.md").read_text("utf-8")
    rows = re.findall(r"^\| (`.+?`) \|[^|]+\| (public|protected) \|", page, re.MULTILINE)
    written = {key: access for keys, access in rows for key in re.findall(r"`(\w+)`", keys)}
    assert set(written) == {item.name for item in fields(CrashReport)}
    quoted = set(re.findall(r'"(\w+)"', page))
    for kind in _classes():
        if kind is not CrashReport:
            assert {item.name for item in fields(kind)} <= quoted, kind
    assert {key for key, access in written.items() if access == "protected"} == protected_fields()

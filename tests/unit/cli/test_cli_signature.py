"""`lastwords signature`: the explanation of every kind of file."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
from click.testing import CliRunner

from lastwords.cli.signature import command
from lastwords.errors import LastwordsError

ANALYSIS = {
    "crash_info": {"type": "SIGSEGV / SEGV_MAPERR"},
    "crashing_thread": {
        "frames": [
            {"kind": "native", "function": "Grid::at()", "module": "app", "trust": "context"},
            {"kind": "python", "function": "step", "file": "/w/src/sim/core.py"},
        ]
    },
}
REPORT = {
    "report_id": "x",
    "mechanism": {"type": "python_exception"},
    "exception": {
        "type": "ValueError",
        "module": "builtins",
        "message": "bad",
        "frames": [{"qualname": "go", "file": "/w/src/sim/run.py"}],
    },
}


def run(path, *options):
    return CliRunner().invoke(command, [str(path), *options])


def written(tmp_path, document, name="file.json"):
    path = tmp_path / name
    path.write_text(document if isinstance(document, str) else json.dumps(document))
    return path


def test_analysis_document_is_explained(tmp_path):
    result = run(written(tmp_path, ANALYSIS))
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[0] == "SIGSEGV | app!Grid::at | sim.core:step"
    assert any(line.startswith("role:") for line in lines)
    assert any("application's first python frame" in line for line in lines)


def test_report_is_explained_as_json(tmp_path):
    document = json.loads(run(written(tmp_path, REPORT), "--json").stdout)
    assert document["signature"] == "pyexc:ValueError | sim.run:go"
    assert document["is_groupable"] is True
    assert document["keys"][0]["kind"] == "stack"
    assert document["notes"]


def test_terminal_is_safe_from_names(tmp_path):
    frame = {"kind": "native", "function": "f\x1b]0;evil\x07()", "module": "a\x1b[31m"}
    document = {"crash_info": {"type": "X\x1b[2J"}, "crashing_thread": {"frames": [frame]}}
    assert "\x1b" not in run(written(tmp_path, document)).stdout


@pytest.mark.parametrize("text", ["{", '{"a": 1}', "{]"])
def test_other_json_is_a_clear_error(tmp_path, text):
    error = run(written(tmp_path, text)).exception
    assert isinstance(error, LastwordsError)
    assert error.code == "document_malformed"
    assert error.exit_status == 3
    assert "file.json" in error.message


def test_a_pipe_is_refused_instead_of_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    ended = subprocess.run(
        [sys.executable, "-m", "lastwords", "signature", str(tmp_path / "pipe")],
        capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    assert ended.returncode == 3
    assert "expected a regular file" in ended.stderr

"""What a person types becomes the plan that the monitor reads."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from lastwords.errors import ProcessError
from lastwords.monitor.plan import DEFAULT_NAME, MonitorPlan, dump_pattern

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_without_a_target_the_default_name_stands_in_the_current_folder(folder: Path) -> None:
    assert dump_pattern(None) == f"{folder}/{DEFAULT_NAME}"
    assert DEFAULT_NAME == "PROCESSNAME_YYMMDD_HHMMSS.dmp"


def test_a_folder_is_told_by_its_slash_or_by_being_there(folder: Path) -> None:
    (folder / "there").mkdir()
    assert dump_pattern("there") == f"{folder}/there/{DEFAULT_NAME}"
    assert dump_pattern("new/") == f"{folder}/new/{DEFAULT_NAME}"
    assert dump_pattern("/abs/") == f"/abs/{DEFAULT_NAME}"


def test_a_file_gets_its_suffix_once(folder: Path) -> None:
    assert dump_pattern("new") == f"{folder}/new.dmp"
    assert dump_pattern("a/PID.dmp") == f"{folder}/a/PID.dmp"
    assert dump_pattern("v1.2") == f"{folder}/v1.2.dmp"


def test_the_plan_holds_kinds_limits_and_words(folder: Path) -> None:
    plan = MonitorPlan(
        kinds=("full", "custom:0x1826"), compress=True, max_dump_mb=2, is_overwriting=True
    )
    told = json.loads(plan.to_json(process="7"))
    assert told["process"] == "7"
    assert told["dumps"] == [{"kind": "full"}, {"kind": "custom", "flags": 0x1826}]
    assert told["limits"]["max_dump_bytes"] == 2 * 1024 * 1024
    assert told["limits"]["compress"] is True
    assert told["is_overwriting"] is True
    assert json.loads(MonitorPlan().to_json())["dumps"] == [{"kind": "mini"}]


def test_secrets_that_were_typed_are_not_in_the_comment() -> None:
    plan = MonitorPlan(arguments=("lastwords", "run", "--", "app", "--password", "hunter2", "a b"))
    assert "hunter2" not in plan.to_json()
    assert json.loads(plan.to_json())["command"].startswith("lastwords run -- app --password ")
    assert "'a b'" in json.loads(plan.to_json())["command"]


def test_an_unknown_kind_is_usage() -> None:
    with pytest.raises(ProcessError, match="huge") as caught:
        MonitorPlan(kinds=("huge",)).to_json()
    assert (caught.value.code, caught.value.exit_status) == ("order_invalid", 2)

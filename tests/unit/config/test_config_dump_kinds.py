from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from lastwords.config import load_settings
from lastwords.dump_kinds import DUMP_FLAGS, KIND_NAMES, dump_plan, parse_flags, parse_kinds
from lastwords.sdk.options import options_json

PLAN = Path(__file__).parents[3] / "crates" / "monitor" / "src" / "plan"


@pytest.mark.parametrize(
    ("given", "kinds"),
    [
        ("mini", ("mini",)),
        ("Mini; FULL", ("mini", "full")),
        ("mini,full triage", ("mini", "full", "triage")),
        ("custom:0x6,full", ("custom:0x6", "full")),
        ("mini custom:WithFullMemory,WithHandleData full", ("mini", "custom:0x6", "full")),
        ("custom:MiniDumpWithFullMemory|withhandledata", ("custom:0x6",)),
        ("custom:WithFullMemory:4", ("custom:0x6",)),
        ("custom:Normal", ("custom:0x0",)),
        ("callback:/opt/a, b.so;kernel", ("callback:/opt/a, b.so", "kernel")),
        (["mini", "mini", "custom:WithFullMemory WithHandleData"], ("mini", "custom:0x6")),
    ],
)
def test_kinds_are_written_in_one_form(given: object, kinds: tuple[str, ...]) -> None:
    assert parse_kinds(given) == kinds


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("huge", "mini, triage, full"),
        ("", "1 to 16"),
        ([], "1 to 16"),
        (3, "a list of dump kinds"),
        (["mini", 3], "a list of dump kinds"),
        ("custom", "custom:FLAGS"),
        ("custom:", "flags behind custom:"),
        ("callback:", "callback:LIBRARY"),
        ("mini:3", "not 'mini:3'"),
        ("custom:WithFullMemroy", "did you mean WithFullMemory"),
        ("custom:0x4000000", "25 bits"),
        ([f"custom:{n:#x}" for n in range(17)], "1 to 16"),
    ],
)
def test_what_is_wrong_is_told(given: object, told: str) -> None:
    with pytest.raises(ValueError, match=re.escape(told)):
        parse_kinds(given)


def test_names_and_kinds_are_those_of_the_monitor() -> None:
    names = re.findall(r'= (0x[0-9A-F_]+), "(\w+)";', (PLAN / "flags.rs").read_text())
    assert [name for _, name in names] == list(DUMP_FLAGS)
    assert [int(bit.replace("_", ""), 16) for bit, _ in names] == [
        parse_flags(name) for name in DUMP_FLAGS
    ]
    told = (PLAN / "kind.rs").read_text()
    assert re.findall(r'=> "(\w+)",', told) == list(KIND_NAMES)


def test_the_monitor_gets_a_plan_only_when_one_was_asked_for() -> None:
    plain, problems = load_settings({"product": "p", "version": "1"}, {})
    assert problems == []
    assert json.loads(options_json(plain, "/spool"))["monitor"] == {"max_spool_bytes": 500_000_000}
    environ = {"LASTWORDS_DUMP_KINDS": "triage;callback:/x.so;custom:0x1826"}
    settings, problems = load_settings({"max_dump_mb": 2, "compress_dumps": True}, environ)
    assert problems == []
    assert json.loads(options_json(settings, "/spool"))["monitor"] == {
        "max_spool_bytes": 500_000_000,
        "dumps": [
            {"kind": "triage"},
            {"kind": "callback", "library": "/x.so"},
            {"kind": "custom", "flags": 0x1826},
        ],
        "limits": {"max_dump_bytes": 2 << 20, "min_free_bytes": 256 << 20, "compress": True},
        "python_locals": False,
    }


def test_a_wrong_kind_means_a_mini_dump_and_is_told() -> None:
    settings, problems = load_settings({"dump_kinds": "enormous"}, {})
    assert settings.dump_kinds == ("mini",)
    assert [problem.code for problem in problems] == ["setting_wrong_value"]
    assert "miniplus" in problems[0].message


def test_a_fraction_of_a_megabyte_is_kept() -> None:
    plan = dump_plan(("mini",), max_dump_mb=0.5, min_free_mb=0, compress=False, python_locals=False)
    assert plan["limits"] == {
        "max_dump_bytes": 524_288,
        "min_free_bytes": 0,
        "compress": False,
    }


def test_variables_are_told_only_when_they_are_asked_for() -> None:
    settings, _ = load_settings({}, {})
    assert settings.python_locals is False
    settings, problems = load_settings({}, {"LASTWORDS_PYTHON_LOCALS": "1"})
    assert (settings.python_locals, problems) == (True, [])
    monitor = json.loads(options_json(settings, "/spool"))["monitor"]
    assert monitor["python_locals"] is True

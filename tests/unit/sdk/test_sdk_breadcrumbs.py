from __future__ import annotations

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import lastwords
from lastwords.report.crash_report import CrashReport
from lastwords.sdk import breadcrumbs
from lastwords.sdk.breadcrumbs import MAX_BREADCRUMBS, current_breadcrumbs


class Rude:
    def __str__(self) -> str:
        raise RuntimeError("no")

    __repr__ = __str__


@pytest.fixture(autouse=True)
def _nothing_happened(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(breadcrumbs, "_ring", breadcrumbs._Ring())


def messages() -> list[object]:
    return [crumb["message"] for crumb in current_breadcrumbs()]


def test_what_happened_is_kept_with_time_level_and_data(core: object) -> None:
    lastwords.breadcrumb("saved", "file", "warning", size=3, ok=True, name="a.usd")
    (crumb,) = current_breadcrumbs()
    assert crumb.pop("time").endswith("Z")
    assert crumb == {
        "level": "warning",
        "category": "file",
        "message": "saved",
        "data": {"size": 3, "ok": True, "name": "a.usd"},
    }


def test_only_the_last_hundred_stay() -> None:
    for number in range(250):
        lastwords.breadcrumb(str(number))
    assert messages() == [str(number) for number in range(150, 250)]


def test_secrets_are_scrubbed_by_key_and_by_look() -> None:
    lastwords.breadcrumb("GET https://ann:hunter2@host/x", token="abc", pin=1234, page=7)
    (crumb,) = current_breadcrumbs()
    assert "hunter2" not in json.dumps(crumb)
    assert crumb["data"] == {"token": "[scrubbed]", "pin": "[scrubbed]", "page": 7}


def test_long_text_is_cut_at_a_character() -> None:
    lastwords.breadcrumb("\u00f6" * 5000, "\u00f6" * 100)
    (crumb,) = current_breadcrumbs()
    assert str(crumb["message"]).endswith("\u00f6…[cut]")
    assert len(str(crumb["message"]).encode()) <= 512
    assert len(str(crumb["category"]).encode()) <= 64


def test_the_native_part_gets_each_once_also_what_came_before_install(core: object) -> None:
    lastwords.breadcrumb("before")
    assert core.named("add_breadcrumb") == []
    lastwords.install("p", "1")
    lastwords.breadcrumb("after", "net", "error", code=5)
    lastwords.install("p", "2")
    told = [crumb[1:] for crumb in core.named("add_breadcrumb")]
    assert told == [("before", "", "info", ""), ("after", "net", "error", '{"code":5}')]
    assert core.named("add_breadcrumb")[0][0] > 1_600_000_000 * 10**9


def test_a_core_that_fails_is_not_noticed(core: object) -> None:
    lastwords.install("p", "1")
    core.failure = RuntimeError("no")
    lastwords.breadcrumb("still kept")
    assert messages() == ["still kept"]


def test_awkward_values_do_not_raise() -> None:
    lastwords.breadcrumb(Rude(), Rude(), Rude(), a=Rude(), b=2**80, c=float("nan"), d=None)  # type: ignore[arg-type]
    (crumb,) = current_breadcrumbs()
    assert (crumb["message"], crumb["category"], crumb["level"]) == ("Rude", "Rude", "info")
    assert crumb["data"] == {"a": "Rude", "b": "int", "c": "nan", "d": None}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(st.text(), st.text(), st.dictionaries(st.text(), st.text() | st.integers() | st.floats()))
def test_any_text_can_be_written_and_read_back(
    message: str, category: str, data: dict[str, object]
) -> None:
    data = {
        key: value for key, value in data.items() if key not in ("message", "category", "level")
    }
    lastwords.breadcrumb(message, category, **data)
    crumbs = current_breadcrumbs()
    document = json.loads(json.dumps({"breadcrumbs": crumbs}))
    report = CrashReport.from_json(document)
    assert 1 <= len(report.breadcrumbs) <= MAX_BREADCRUMBS
    assert report.soft_errors == ()
    assert report.breadcrumbs[-1].message == crumbs[-1]["message"]

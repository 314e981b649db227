"""Which issue a report goes to, and how issues change their state."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from lastwords.errors import StoreError
from lastwords.signature import from_analysis, sign
from lastwords.store import IssueStatus
from lastwords.triage import STATUS_CHANGES, assign, change_status, issue_title


def status(store, issue_id):
    return store.issue(issue_id).status


def test_first_report_makes_an_issue_and_the_next_joins_it(store, reports):
    first_id, first = reports.add()
    _, second = reports.add(message="worse")
    assert first.is_new
    assert not second.is_new
    assert first.issue_id == second.issue_id
    found = store.issue(first.issue_id)
    assert (found.reports, found.status) == (2, IssueStatus.NEW)
    assert found.signature == "pyexc:ValueError | pkg.mod:step"
    assert found.title == "ValueError in pkg.mod:step"
    assert store.report(first_id).issue_id == first.issue_id


def test_another_function_is_another_issue(reports):
    assert reports.add("step")[1].issue_id != reports.add("load")[1].issue_id


def test_products_do_not_share_issues(reports):
    one = reports.add(product="sim")[1]
    other = reports.add(product="game")[1]
    unknown = reports.add(product=None)[1]
    assert len({one.issue_id, other.issue_id, unknown.issue_id}) == 3


def test_assigning_again_changes_nothing(store, reports):
    report_id, put = reports.add()
    again = assign(store, report_id, reports.sign("step"))
    assert again.issue_id == put.issue_id
    assert not again.is_new
    assert not again.is_regression
    assert store.issue(put.issue_id).reports == 1


def test_unknown_report_is_an_error(store, reports):
    with pytest.raises(StoreError) as caught:
        assign(store, "no-such-report", reports.sign("step"))
    assert caught.value.code == "report_unknown"


def test_newer_version_makes_a_resolved_issue_regress(store, reports):
    _, put = reports.add(version="1.9")
    change_status(store, put.issue_id, IssueStatus.RESOLVED)
    _, same = reports.add(version="1.9")
    assert not same.is_regression
    assert status(store, put.issue_id) is IssueStatus.RESOLVED
    _, older = reports.add(version="1.10rc1")
    assert older.is_regression
    assert status(store, put.issue_id) is IssueStatus.REGRESSED


def test_old_versions_do_not_reopen_a_resolved_issue(store, reports):
    _, put = reports.add(version="1.10")
    change_status(store, put.issue_id, IssueStatus.RESOLVED)
    _, old = reports.add(version="1.9")
    _, unknown = reports.add(version=None)
    assert not old.is_regression
    assert not unknown.is_regression
    assert status(store, put.issue_id) is IssueStatus.RESOLVED


def test_reprocessing_the_newest_report_is_no_regression(store, reports):
    reports.add(version="1.0")
    report_id, put = reports.add(version="2.0")
    change_status(store, put.issue_id, IssueStatus.RESOLVED)
    assert not assign(store, report_id, reports.sign("step")).is_regression
    assert status(store, put.issue_id) is IssueStatus.RESOLVED


def test_ignored_issue_stays_ignored(store, reports):
    _, put = reports.add(version="1.0")
    change_status(store, put.issue_id, IssueStatus.IGNORED)
    reports.add(version="2.0")
    assert status(store, put.issue_id) is IssueStatus.IGNORED


@pytest.mark.parametrize("before", STATUS_CHANGES)
def test_people_can_change_a_status_as_listed_only(store, reports, before):
    _, put = reports.add()
    for wanted in IssueStatus:
        store.set_issue_status(put.issue_id, before)
        if wanted is before or wanted in STATUS_CHANGES[before]:
            assert change_status(store, put.issue_id, wanted) is before
            assert status(store, put.issue_id) is wanted
        else:
            with pytest.raises(StoreError) as caught:
                change_status(store, put.issue_id, wanted)
            assert caught.value.code == "issue_status_not_allowed"
            assert status(store, put.issue_id) is before


def test_unknown_issue_is_an_error(store):
    with pytest.raises(StoreError) as caught:
        change_status(store, 4711, IssueStatus.OPEN)
    assert caught.value.code == "issue_unknown"


def analysis(*frames):
    return sign(
        from_analysis(
            {
                "crash_info": {"type": "SIGSEGV / SEGV_MAPERR"},
                "crashing_thread": {"frames": list(frames)},
                "modules": [{"filename": "app", "code_id": "aa"}],
            }
        )
    )


def frame(function, offset):
    return {
        "kind": "native",
        "module": "app",
        "module_offset": offset,
        "function": function,
        "trust": "cfi",
    }


def test_reports_without_symbols_join_their_issue_when_symbols_come(store, reports):
    report_id, _ = reports.add()
    other_id, _ = reports.add()
    bare = assign(store, report_id, analysis(frame(None, "0x10"), frame(None, "0x20")))
    named = assign(store, other_id, analysis(frame("at()", "0x10"), frame("run()", "0x20")))
    assert bare.issue_id == named.issue_id
    assert store.issue(bare.issue_id).title == "SIGSEGV in app+0x10 (no symbols)"


def test_title_says_what_called_what():
    title = issue_title(analysis(frame("memcpy", "0x1"), frame("Grid::at()", "0x10")))
    assert title == "SIGSEGV in memcpy ← Grid::at"
    assert issue_title(sign(from_analysis({}))) == "unknown reason (no stack)"


def test_reports_of_one_failure_at_the_same_time_make_one_issue(store, reports):
    ids = [reports.add(f"other{number}")[0] for number in range(8)]
    together = threading.Barrier(len(ids))

    def put(report_id):
        together.wait()
        return assign(store, report_id, reports.sign("same"))

    with ThreadPoolExecutor(len(ids)) as pool:
        found = list(pool.map(put, ids))
    assert len({one.issue_id for one in found}) == 1
    assert sum(one.is_new for one in found) == 1
    assert store.issue(found[0].issue_id).reports == len(ids)

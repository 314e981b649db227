"""Reports, jobs and issues in the store's own words."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING

import pytest
from store_reports import NOW, new_report, note

from lastwords.errors import StoreError
from lastwords.store import (
    BlobKind,
    Found,
    GroupingKey,
    IssueStatus,
    NewDocument,
    Outcome,
    ReportFilter,
    ReportState,
    Store,
)

if TYPE_CHECKING:
    from lastwords.store import Job

LEASE = timedelta(seconds=60)
DONE = Outcome(state=ReportState.PROCESSED, notes=())


def claim(store: Store, owner: str = "w") -> Job:
    job = store.claim_job(owner, LEASE)
    assert job is not None
    return job


def test_accepted_report_comes_back_as_it_was(store: Store) -> None:
    new = new_report(store, dump=b"MDMP", annotations=(("key", "value"),))
    (accepted,) = store.accept_reports([new])
    assert not accepted.is_duplicate
    report = store.report(accepted.report_id)
    assert report is not None
    assert (report.product, report.version, report.client_id) == ("sim", "1.0", "c")
    assert (report.state, report.received, report.issue_id) == (ReportState.RECEIVED, NOW, None)
    assert report == store.report(f"bp-{accepted.report_id}")
    assert store.annotations(report.id) == [("key", "value")]
    (blob,) = store.report_blobs(report.id)
    assert (blob.kind, blob.name, blob.size_bytes) == (BlobKind.DUMP, "crash.dmp", 4)
    assert store.read_blob(blob.sha256) == b"MDMP"


def test_unknown_report_is_none_and_its_parts_are_empty(store: Store) -> None:
    assert store.report("nothing") is None
    assert store.report_blobs("nothing") == []
    assert store.annotations("nothing") == []
    assert store.notes("nothing") == []
    assert not store.reprocess("nothing")


def test_same_identity_is_stored_once_even_in_one_batch(store: Store) -> None:
    first, second = store.accept_reports(
        [new_report(store, identity="i"), new_report(store, identity="i")]
    )
    (third,) = store.accept_reports([new_report(store, identity="i")])
    assert first.report_id == second.report_id == third.report_id
    assert [first.is_duplicate, second.is_duplicate, third.is_duplicate] == [False, True, True]
    assert store.queue_depth() == 1


def test_unknown_identity_is_never_a_duplicate(store: Store) -> None:
    answers = store.accept_reports([new_report(store), new_report(store)])
    assert len({one.report_id for one in answers}) == 2


def test_failed_batch_stores_nothing(store: Store) -> None:
    good = new_report(store)
    with pytest.raises(Exception, match="UNIQUE") as caught:
        store.accept_reports([good, good])
    assert good.report_id not in str(caught.value), "values do not belong into messages"
    assert store.reports() == []
    assert store.queue_depth() == 0


def test_filter_conditions_hold_together_newest_first(store: Store) -> None:
    for number in range(4):
        product = "sim" if number % 2 else "other"
        received = NOW + timedelta(seconds=number)
        store.accept_reports([new_report(store, product=product, received=received)])
    found = store.reports(ReportFilter(product="sim"))
    assert [one.received.second for one in found] == [33, 31]
    assert store.reports(ReportFilter(product="sim", version="9")) == []
    assert len(store.reports(ReportFilter(state=ReportState.RECEIVED), limit=3)) == 3
    earlier = store.reports(ReportFilter(received_before=NOW + timedelta(seconds=2)))
    assert len(earlier) == 2


def test_jobs_come_in_order_and_once(store: Store) -> None:
    ids = [one.report_id for one in store.accept_reports([new_report(store) for _ in range(3)])]
    jobs = [claim(store) for _ in range(3)]
    assert [job.report_id for job in jobs] == ids
    assert store.claim_job("w", LEASE) is None
    report = store.report(ids[0])
    assert report is not None
    assert report.state is ReportState.PROCESSING


def test_end_of_a_job_writes_everything_at_once(store: Store) -> None:
    store.accept_reports([new_report(store, dump=b"MDMP", annotations=(("k", "secret"),))])
    job = claim(store)
    outcome = Outcome(
        state=ReportState.PROCESSED,
        notes=(note("analysis"), note("sign")),
        documents=(NewDocument(kind=BlobKind.ANALYSIS, name="analysis.json", content=b"{}"),),
        annotations=(("k", "[scrubbed]"),),
        found=Found(os="Linux", crash_reason="SIGSEGV", version=None),
    )
    assert store.end_job(job, outcome)
    report = store.report(job.report_id)
    assert report is not None
    assert (report.state, report.os, report.crash_reason) == (
        ReportState.PROCESSED,
        "Linux",
        "SIGSEGV",
    )
    assert report.version == "1.0", "what was not found stays"
    assert report.processed is not None
    assert [one.step for one in store.notes(report.id)] == ["analysis", "sign"]
    assert store.annotations(report.id) == [("k", "[scrubbed]")]
    kinds = [one.kind for one in store.report_blobs(report.id)]
    assert kinds == [BlobKind.ANALYSIS, BlobKind.DUMP]
    assert store.queue_depth() == 0


def test_second_run_replaces_notes_and_documents(store: Store) -> None:
    store.accept_reports([new_report(store)])
    analysis = NewDocument(kind=BlobKind.ANALYSIS, name="analysis.json", content=b"1")
    first = Outcome(state=ReportState.FAILED, notes=(note("a"),), documents=(analysis,))
    job = claim(store)
    store.end_job(job, first)
    assert store.reprocess(job.report_id)
    assert store.reprocess(job.report_id), "asking twice queues once"
    assert store.queue_depth() == 1
    again = NewDocument(kind=BlobKind.ANALYSIS, name="analysis.json", content=b"2")
    second = Outcome(state=ReportState.PROCESSED, notes=(note("b"),), documents=(again,))
    assert store.end_job(claim(store), second)
    assert [one.step for one in store.notes(job.report_id)] == ["b"]
    (blob,) = store.report_blobs(job.report_id)
    assert store.read_blob(blob.sha256) == b"2"


def test_new_reports_come_before_reprocessing(store: Store) -> None:
    store.accept_reports([new_report(store)])
    old = claim(store)
    store.end_job(old, DONE)
    store.reprocess(old.report_id)
    (new,) = store.accept_reports([new_report(store)])
    assert [claim(store).report_id, claim(store).report_id] == [new.report_id, old.report_id]


def test_job_is_taken_over_after_its_lease_and_not_before(store: Store) -> None:
    store.accept_reports([new_report(store)])
    first = store.claim_job("first", timedelta(seconds=-1))
    assert first is not None
    second = claim(store, "second")
    assert (second.id, second.attempts) == (first.id, 2)
    assert store.claim_job("third", LEASE) is None
    assert not store.end_job(first, DONE), "the first worker has lost it"
    assert not store.retry_job(first, "late", timedelta())
    assert store.notes(first.report_id) == []
    assert store.end_job(second, DONE)


def test_retried_job_waits_and_keeps_its_reason(store: Store) -> None:
    store.accept_reports([new_report(store)])
    assert store.retry_job(claim(store), "no memory", timedelta(hours=1))
    assert store.claim_job("w", LEASE) is None
    assert store.queue_depth() == 1
    store.accept_reports([new_report(store)])
    assert store.retry_job(claim(store), "no memory", timedelta(seconds=-1))
    job = claim(store)
    assert (job.last_error, job.attempts) == ("no memory", 2)


def test_released_job_counts_no_attempt(store: Store) -> None:
    store.accept_reports([new_report(store)])
    store.release_job(claim(store))
    report = store.reports()[0]
    assert report.state is ReportState.RECEIVED
    assert claim(store).attempts == 1


def test_owner_gives_back_the_jobs_of_its_predecessor(store: Store) -> None:
    store.accept_reports([new_report(store)])
    claim(store)
    assert store.recover() == 1
    assert claim(store).attempts == 2


def test_reports_with_a_known_key_join_its_issue(store: Store) -> None:
    def key(digits: str) -> GroupingKey:
        return GroupingKey(kind="v1:stack", hash=digits)

    ids = [
        one.report_id
        for one in store.accept_reports(
            [
                new_report(store, client_id="a", version="1", received=NOW),
                new_report(store, client_id="b", version="3", received=NOW + LEASE),
                new_report(store, client_id="b", version="0", received=NOW - LEASE),
                new_report(store, client_id=None),
                new_report(store, client_id=None),
            ]
        )
    ]
    first = store.assign_issue(ids[0], [key("1"), key("2")], signature="s", title="t")
    second = store.assign_issue(ids[1], [key("9"), key("2")], signature="s2", title="t2")
    third = store.assign_issue(ids[2], [key("9")], signature="s3", title="t3")
    other = store.assign_issue(ids[3], [key("7")], signature="o", title="o")
    store.assign_issue(ids[4], [key("7")], signature="o", title="o")
    assert (first.is_new, second.is_new, third.is_new, other.is_new) == (True, False, False, True)
    assert first.issue_id == second.issue_id == third.issue_id != other.issue_id
    issue = store.issue(first.issue_id)
    assert issue is not None
    assert (issue.title, issue.reports, issue.installations) == ("t", 3, 2)
    assert (issue.first_version, issue.last_version) == ("0", "3")
    assert (issue.first_seen, issue.last_seen) == (NOW - LEASE, NOW + LEASE)
    assert [one.id for one in store.issues()] == [first.issue_id, other.issue_id]
    nameless = store.issue(other.issue_id)
    assert nameless is not None
    assert (nameless.reports, nameless.installations) == (2, 1)
    report = store.report(ids[1])
    assert report is not None
    assert (report.issue_id, report.signature) == (first.issue_id, "s2")


def test_assigning_again_changes_nothing(store: Store) -> None:
    (accepted,) = store.accept_reports([new_report(store)])
    keys = [GroupingKey(kind="v1:stack", hash="1")]
    first = store.assign_issue(accepted.report_id, keys, signature="s", title="t")
    before = store.issues()
    again = store.assign_issue(accepted.report_id, keys, signature="s", title="t")
    assert (again.issue_id, again.is_new) == (first.issue_id, False)
    assert store.issues() == before


def test_unknown_report_cannot_be_assigned(store: Store) -> None:
    with pytest.raises(StoreError) as caught:
        store.assign_issue("nothing", [], signature="s", title="t")
    assert caught.value.code == "report_unknown"
    assert store.issues() == []


def test_issues_are_filtered_by_status_and_product(store: Store) -> None:
    for product in ("a", "b"):
        (one,) = store.accept_reports([new_report(store, product=product)])
        store.assign_issue(
            one.report_id,
            [GroupingKey(kind="k", hash=product)],
            signature=product,
            title=product,
        )
    assert [one.title for one in store.issues(product="b")] == ["b"]
    (issue,) = store.issues(product="a")
    assert store.set_issue_status(issue.id, IssueStatus.RESOLVED)
    assert [one.title for one in store.issues(status=IssueStatus.RESOLVED)] == ["a"]
    assert not store.set_issue_status(999, IssueStatus.OPEN)
    assert store.issue(999) is None


def test_time_without_zone_is_refused(store: Store) -> None:
    naive = datetime(2026, 1, 1)  # noqa: DTZ001
    with pytest.raises(Exception, match="without a zone"):
        store.accept_reports([new_report(store, received=naive)])


def test_times_keep_their_microseconds(store: Store) -> None:
    early = datetime(1969, 12, 31, 23, 59, 59, 1, tzinfo=timezone.utc)
    store.accept_reports([new_report(store, received=early)])
    assert store.reports()[0].received == early

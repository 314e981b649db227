"""The order of issues, and the figures beside them."""

from __future__ import annotations

from datetime import timedelta

from lastwords.store import IssueStatus
from lastwords.triage import DAYS, change_status, issue_facts, ranked_issues


def signatures(ranked):
    return [one.issue.signature.rpartition(":")[2] for one in ranked]


def test_installations_count_before_reports(store, reports, now):
    for _ in range(9):
        reports.add("often", client="a")
    for client in "abc":
        reports.add("widely", client=client)
    for _ in range(2):
        reports.add("twice", client="a")
    ranked = ranked_issues(store, now=now)
    assert signatures(ranked) == ["widely", "often", "twice"]
    assert [one.rank for one in ranked] == [1, 2, 3]
    assert [one.issue.installations for one in ranked] == [3, 1, 1]


def test_newer_issue_stands_first_among_equals(store, reports, now):
    reports.add("old", age=timedelta(hours=5))
    reports.add("young", age=timedelta(hours=1))
    assert signatures(ranked_issues(store, now=now)) == ["young", "old"]


def test_daily_counts_end_today_and_forget_older_reports(store, reports, now):
    for age in (0, 0, 1, DAYS - 1, DAYS, 400):
        reports.add(age=timedelta(days=age))
    (one,) = ranked_issues(store, now=now)
    assert one.days == (1, *[0] * (DAYS - 3), 1, 2)
    assert one.issue.reports == 6


def test_versions_are_newest_first(store, reports, now):
    for version in ("1.9", "1.10", None, "1.9"):
        reports.add(version=version)
    (one,) = ranked_issues(store, now=now)
    assert one.versions == ("1.10", "1.9")


def test_statuses_and_product_choose(store, reports, now):
    _, resolved = reports.add("done")
    reports.add("new")
    reports.add("other", product="game")
    change_status(store, resolved.issue_id, IssueStatus.RESOLVED)
    chosen = ranked_issues(store, statuses=[IssueStatus.RESOLVED], now=now)
    assert signatures(chosen) == ["done"]
    both = ranked_issues(store, statuses=[IssueStatus.RESOLVED, IssueStatus.NEW], now=now)
    assert sorted(signatures(both)) == ["done", "new", "other"]
    assert signatures(ranked_issues(store, product="game", now=now)) == ["other"]
    assert len(ranked_issues(store, limit=2, now=now)) == 2


def test_facts_count_versions_and_systems(store, reports, now):
    for version, client in (("1.9", "a"), ("1.10", "a"), ("1.10", "b"), (None, None)):
        _, put = reports.add(version=version, client=client)
    facts = issue_facts(store, put.issue_id, now=now)
    assert [(v.name, v.reports, v.installations) for v in facts.versions] == [
        ("1.10", 2, 2),
        ("1.9", 1, 1),
        (None, 1, 1),
    ]
    assert [(s.name, s.reports) for s in facts.systems] == [("Linux x86_64", 4)]
    assert [p.name for p in facts.products] == ["sim"]
    assert facts.days[-1] == 4
    assert (now.date() - facts.first_day).days == DAYS - 1


def test_facts_of_an_unknown_issue_are_empty(store, now):
    facts = issue_facts(store, 99, now=now)
    assert facts.versions == ()
    assert sum(facts.days) == 0

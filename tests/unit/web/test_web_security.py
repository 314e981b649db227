"""Pages under attack: foreign text, foreign sites, foreign shapes."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest
from web_reports import analysis, exception_report, native, python, signal_report

from lastwords.store import BlobKind, IssueStatus

EVIL = "\"'><script>alert(1)</script><img src=x onerror=alert(1)>{{7*7}}"
PATHS = ("/", "/?status=all", "/reports")


def evil_analysis():
    document = analysis(
        [
            native(f"ns::{EVIL}()", EVIL, line=3, file=f"/x/{EVIL}", inlines=[{"function": EVIL}]),
            python(EVIL, 3, f"/x/{EVIL}.py"),
        ]
    )
    document["crash_info"]["type"] = EVIL
    document["crash_info"]["assertion"] = EVIL
    document["system_info"] = {"os": EVIL, "cpu_info": EVIL}
    document["annotations"] = {EVIL: EVIL}
    document["soft_errors"] = [{"where": EVIL, "message": EVIL}]
    document["modules"] = [{"filename": EVIL, "version": EVIL, "code_id": EVIL}]
    document["threads"][0]["thread_name"] = EVIL
    document["threads"][1]["thread_name"] = EVIL
    return document


def evil_exception():
    report = exception_report()
    exception = report["exception"]
    exception["type"] = exception["message"] = exception["thread_name"] = EVIL
    exception["notes"] = [EVIL]
    exception["frames"][0]["qualname"] = exception["frames"][0]["file"] = EVIL
    return report


class Tags(HTMLParser):
    """Collects what a browser would take for markup."""

    def __init__(self, html):
        super().__init__()
        self.tags = set()
        self.attributes = set()
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.attributes.update(name for name, _ in attrs)


def assert_harmless(html):
    found = Tags(html)
    assert not found.tags & {"script", "img", "style", "iframe", "object"}
    assert not [name for name in found.attributes if name.startswith("on") or name == "style"]


def test_markup_is_found_by_this_test():
    with pytest.raises(AssertionError):
        assert_harmless(f"<p>{EVIL}</p>")


def test_foreign_text_is_never_markup(client, reports):
    dump_id, dump_issue = reports.native(
        document=evil_analysis(),
        version=EVIL,
        product=EVIL,
        report=signal_report(annotations={EVIL: EVIL}),
    )
    raised_id, raised_issue = reports.exception(report=evil_exception(), product=EVIL)
    waiting = reports.receive(files=[(BlobKind.ATTACHMENT, EVIL, b"x")], product=EVIL)
    paths = [*PATHS]
    paths += [f"/reports/{one}" for one in (dump_id, raised_id, waiting)]
    paths += [f"/issues/{one}" for one in (dump_issue, raised_issue)]
    for path in paths:
        html = client.get(path).text
        assert "&lt;script&gt;" in html, path
        assert_harmless(html)


@pytest.mark.parametrize(
    "path", [f"/?status={EVIL}", f"/reports/{EVIL}", f"/?product={EVIL}&status=all"]
)
def test_addresses_are_never_markup(client, path):
    assert_harmless(client.get(path).text)


def test_every_answer_has_the_security_headers(client, reports):
    report_id, issue_id = reports.native()
    for path in (
        *PATHS,
        f"/issues/{issue_id}",
        f"/reports/{report_id}",
        f"/api/reports/{report_id}",
        "/api/reports/none",
        "/nowhere",
        "/static/lastwords.css",
        "/issues/not-a-number",
    ):
        headers = client.get(path).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy, path
        assert "unsafe" not in policy
        assert "script-src" not in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"
        assert "set-cookie" not in headers


@pytest.fixture
def form(client, reports):
    """An issue's address, and the valid fields of its form."""
    _, issue_id = reports.native()
    html = client.get(f"/issues/{issue_id}").text
    token = re.search(r'name="token" value="([^"]+)"', html).group(1)
    return issue_id, {"token": token, "status": "resolved"}


def post(client, issue_id, fields, **headers):
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return client.post(
        f"/issues/{issue_id}/status", data=fields, headers=names, follow_redirects=False
    )


def test_button_changes_the_status(client, store, form):
    issue_id, fields = form
    answer = post(client, issue_id, fields, sec_fetch_site="same-origin")
    assert answer.status_code == 303
    assert answer.headers["location"] == f"/issues/{issue_id}"
    assert store.issue(issue_id).status is IssueStatus.RESOLVED
    assert "resolved" in client.get(f"/issues/{issue_id}").text


@pytest.mark.parametrize(
    ("change", "headers"),
    [
        ({"token": "wrong"}, {}),
        ({"token": ""}, {}),
        ({}, {"sec_fetch_site": "cross-site"}),
        ({}, {"sec_fetch_site": "same-site"}),
        ({}, {"origin": "https://evil.test"}),
        ({}, {"origin": "null"}),
    ],
)
def test_forged_request_changes_nothing(client, store, form, change, headers):
    issue_id, fields = form
    answer = post(client, issue_id, {**fields, **change}, **headers)
    assert answer.status_code == 403
    assert "Reload the issue" in answer.text
    assert store.issue(issue_id).status is IssueStatus.NEW


def test_missing_token_changes_nothing(client, store, form):
    issue_id, fields = form
    del fields["token"]
    assert post(client, issue_id, fields).status_code == 403
    assert store.issue(issue_id).status is IssueStatus.NEW


def test_own_origin_is_accepted(client, form):
    issue_id, fields = form
    assert post(client, issue_id, fields, origin="http://testserver.local").status_code == 303


def test_impossible_change_says_what_is_possible(client, form):
    issue_id, fields = form
    answer = post(client, issue_id, {**fields, "status": "regressed"})
    assert answer.status_code == 409
    assert "choose one of: open, resolved, ignored" in answer.text
    assert post(client, issue_id, {**fields, "status": "nonsense"}).status_code == 400
    assert post(client, 9999, fields).status_code == 404


def test_reading_never_changes(client, store, form):
    issue_id, _ = form
    assert client.get(f"/issues/{issue_id}/status").status_code == 405
    assert store.issue(issue_id).status is IssueStatus.NEW


def test_large_form_is_refused(client, form):
    issue_id, fields = form
    assert post(client, issue_id, {**fields, "more": "x" * 100_000}).status_code == 413


@pytest.mark.parametrize("path", ["/", "/api/issues"])
def test_defect_of_ours_tells_readers_and_log_no_secrets(client, monkeypatch, caplog, path):
    def fail(*_, **__):
        raise RuntimeError("secret of a user")

    monkeypatch.setattr("lastwords.web.pages.issues.ranked_issues", fail)
    monkeypatch.setattr("lastwords.web.api.ranked_issues", fail)
    answer = client.get(path)
    assert answer.status_code == 500
    assert "server_failed" in answer.text
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    (record,) = [one for one in caplog.records if one.name == "lastwords.web"]
    assert (record.error, record.path) == ("RuntimeError", path)
    assert record.place.startswith("fail:")
    assert "secret" not in answer.text + caplog.text


@pytest.mark.parametrize(
    "document",
    [
        {"threads": 7, "modules": "x", "crash_info": []},
        {"threads": [None, 3, {"frames": [None, {"inlines": 5, "line": "x", "module": []}]}]},
        {"crash_info": {"crashing_thread": -1, "type": {"a": 1}}, "threads": [{"frames": "abc"}]},
        {"crash_info": {"crashing_thread": True}, "annotations": [1], "soft_errors": {"a": 1}},
        {"threads": [{"thread_id": 1.5, "thread_name": ["x"], "python": 3}], "python": "x"},
        {"crashing_thread": {"frames": [{"kind": "python", "python": [], "line": 10**30}]}},
    ],
)
def test_foreign_shapes_never_break_a_page(client, reports, document):
    report_id, issue_id = reports.native(document=document)
    assert client.get(f"/reports/{report_id}").status_code == 200
    assert client.get(f"/issues/{issue_id}").status_code == 200


def test_damaged_document_is_told_and_the_rest_is_shown(client, reports, store):
    report_id, _ = reports.native()
    blob = next(one for one in store.report_blobs(report_id) if one.kind is BlobKind.ANALYSIS)
    store.blobs.path(blob.sha256).chmod(0o600)
    store.blobs.path(blob.sha256).write_bytes(b"damaged")
    html = client.get(f"/reports/{report_id}").text
    assert blob.sha256[:8] in html
    assert "notice failure" in html
    assert "What happened" in html

"""The JSON API: shapes as in docs/formats/api.md."""

from __future__ import annotations

import pytest
from web_reports import PHYSICS


def get(client, path, status=200):
    response = client.get(path)
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/json"
    return response.json()


def test_issues_are_ranked(client, reports):
    _, native_issue = reports.native(client="a")
    reports.native(client="b", version="1.3.0")
    reports.exception()
    document = get(client, "/api/issues")
    assert document["schema"] == 1
    first, second = document["issues"]
    assert first["id"] == native_issue
    assert (first["rank"], first["installations"], first["reports"]) == (1, 2, 2)
    assert (
        first["signature"]
        == f"SIGSEGV | {PHYSICS.partition('.')[0]}!Grid::at | victim.simulation:Simulation.step"
    )
    assert first["status"] == "new"
    assert first["versions"] == ["1.3.0", "1.2.0"]
    assert len(first["days"]) == 14
    assert first["first_seen"].endswith("Z")
    assert second["rank"] == 2
    assert len(get(client, "/api/issues?limit=1")["issues"]) == 1
    assert get(client, "/api/issues?status=resolved")["issues"] == []


def test_one_issue_has_its_counts(client, reports):
    _, issue_id = reports.native()
    issue = get(client, f"/api/issues/{issue_id}")["issue"]
    assert issue["versions"] == [{"name": "1.2.0", "reports": 1, "installations": 1}]
    assert issue["days"][-1]["reports"] == 1


def test_reports_are_listed_newest_first_and_filtered(client, reports):
    first, issue_id = reports.native()
    second, _ = reports.exception()
    waiting = reports.receive()
    ids = [one["id"] for one in get(client, "/api/reports")["reports"]]
    assert ids == [waiting, second, first]
    assert [one["id"] for one in get(client, f"/api/reports?issue={issue_id}")["reports"]] == [
        first
    ]
    received = get(client, "/api/reports?state=received")["reports"]
    assert [one["id"] for one in received] == [waiting]
    assert received[0]["issue"] is None


def test_one_report_has_documents_files_and_notes(client, reports):
    report_id, issue_id = reports.native()
    report = get(client, f"/api/reports/{report_id}")["report"]
    assert report["issue"] == issue_id
    assert report["analysis"]["crash_info"]["type"] == "SIGSEGV / SEGV_MAPERR"
    assert report["document"]["product"] == "victim"
    assert {one["kind"] for one in report["files"]} == {"dump", "report_json", "analysis"}
    assert report["notes"][0]["code"] == "symbols_missing"
    assert report["annotations"]["scene"] == "lake"
    for file in report["files"]:
        assert client.get(file["url"]).status_code == 200
    for other in (f"bp-{report_id}", report["client_report_id"]):
        assert get(client, f"/api/reports/{other}")["report"]["id"] == report_id


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/api/issues/99", 404, "issue_unknown"),
        ("/api/reports/none", 404, "report_unknown"),
        ("/api/issues?status=nonsense", 400, "bad_request"),
        ("/api/reports?state=nonsense", 400, "bad_request"),
        ("/api/issues?limit=0", 400, "bad_request"),
        ("/api/issues?limit=99999", 400, "bad_request"),
        ("/api/nothing", 404, "not_found"),
    ],
)
def test_errors_are_json_with_a_code(client, path, status, code):
    document = get(client, path, status)
    assert document["code"] == code
    assert document["message"]

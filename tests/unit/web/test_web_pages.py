"""What the pages show."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from web_reports import FRAMES, WebReports, analysis, native, python, signal_report

from lastwords.store import BlobKind, IssueStatus, ReportState


def page(client, path, status=200):
    response = client.get(path)
    assert response.status_code == status, response.text
    return response.text


def visible(html):
    """The text of a page, without tags, white space folded."""
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html)).strip()


def test_empty_server_says_how_to_send_a_report(client):
    html = page(client, "/")
    assert "No unresolved issues" in html
    assert "lastwords.install(" in html


def test_issues_are_listed_by_installations(client, reports):
    for client_id in "ab":
        reports.native(client=client_id)
    for _ in range(3):
        reports.exception(client="a", age=timedelta(days=2))
    html = page(client, "/")
    first, second = html.index("SIGSEGV in"), html.index("SettingsError in")
    assert first < second
    text = visible(html)
    assert "_physics!Grid::at | victim.simulation:Simulation.step" in text.replace("&gt;", ">")
    assert 'aria-label="3 reports in 14 days, 0 today"' in html
    assert "2 days ago" in text


def test_list_filters_by_status_and_product(client, reports, store):
    _, native_issue = reports.native()
    reports.exception(product="game")
    store.set_issue_status(native_issue, IssueStatus.RESOLVED)
    assert "SIGSEGV in" not in page(client, "/")
    assert "SIGSEGV in" in page(client, "/?status=resolved")
    assert "SIGSEGV in" in page(client, "/?status=all")
    assert "SettingsError" not in page(client, "/?status=all&product=victim")
    page(client, "/?status=nonsense", status=400)


def test_list_tells_of_reports_that_are_not_grouped(client, reports):
    reports.receive()
    text = visible(page(client, "/"))
    assert "1 report is being processed" in text


def test_issue_page_shows_counts_stack_and_reports(client, reports):
    report_id, issue_id = reports.native(version="1.2.0", client="a")
    reports.native(version="1.10.0", client="b")
    text = visible(page(client, f"/issues/{issue_id}"))
    assert "SIGSEGV in Grid::at ← victim.simulation:Simulation.step" in text
    assert "Installations 2" in text
    assert text.index("1.10.0") < text.index("1.2.0 1 1")
    assert "Linux x86_64" in text
    assert "simulation.py:42" in text
    assert report_id[:8] in text


def test_report_page_shows_the_merged_stack_in_order(client, reports):
    report_id, _ = reports.native()
    text = visible(page(client, f"/reports/{report_id}"))
    order = [
        "inline Grid::at",
        "native (anonymous namespace)::advance(Grid&amp;, double)",
        "3 frames of plumbing",
        "Python Simulation.step",
        "Python Thread.run",
        "native thread_run",
        "about 2 unknown native frames, 96 bytes of stack before this one",
        "libfoo.so.1+0x0000000000001a40",
        "native start_thread",
        "native clone3",
    ]
    positions = [text.find(piece) for piece in order]
    assert -1 not in positions, list(zip(order, positions, strict=True))
    assert positions == sorted(positions)
    assert "stack scan: may be wrong" in text


def test_report_page_says_what_happened(client, reports):
    report_id, _ = reports.native()
    text = visible(page(client, f"/reports/{report_id}"))
    for piece in (
        "Reason SIGSEGV / SEGV_MAPERR",
        "Address 0x0000000000000010",
        "null pointer plus 0x10",
        "Signal SIGSEGV / SEGV_MAPERR (signal 11, code 1)",
        "Thread 4711 (worker-3): the crashing thread",
        "Python 3.11.7",
        "Thread 4700 (python3)",
        "holds the GIL",
        "3 modules, symbols of 1 are missing",
        "symbols of 1 module are missing",
        "no call frame information",
        "frame 1202",
        "is_demo true",
        "scene ocean",
    ):
        assert piece in text, piece


def test_a_dump_on_demand_has_no_crashing_thread_and_no_fault(client, reports):
    document = analysis()
    document["crash_info"]["type"] = "DUMP_REQUESTED"
    report_id, _ = reports.native(document=document)
    text = visible(page(client, f"/reports/{report_id}"))
    assert "Thread 4711 (worker-3)" in text
    for piece in ("the crashing thread", "Meaning of the address", "Instruction"):
        assert piece not in text, piece


def test_report_page_shows_a_traceback_as_python_does(client, reports):
    report_id, _ = reports.exception()
    text = visible(page(client, f"/reports/{report_id}"))
    cause = text.index("KeyError : &#39;gravity&#39;")
    relation = text.index("was the direct cause of the next exception")
    raised = text.index("victim.settings.SettingsError : no gravity")
    assert cause < relation < raised
    assert text.rindex("run.py:3") < text.rindex("Python Simulation.start")
    assert "check settings.toml" in text


def test_report_in_every_state_is_shown_honestly(client, reports, store):
    waiting = reports.receive()
    assert "waits to be processed" in page(client, f"/reports/{waiting}")
    job = store.claim_job("test", timedelta(minutes=1))
    assert "is being processed" in page(client, f"/reports/{waiting}")
    store.release_job(job)
    reports.process(
        waiting,
        signal_report(),
        state=ReportState.FAILED,
        state_reason="analysis: killed after 60 s",
    )
    html = page(client, f"/reports/{waiting}")
    assert "could not be processed: analysis: killed after 60 s" in html
    assert "failed" in page(client, "/reports?state=failed")
    assert waiting[:8] not in page(client, "/reports?state=processed")


def test_dump_without_a_crashing_thread_says_so(client, reports):
    document = analysis(crash_info={"type": None}, threads=[], crashing_thread=None)
    report_id, _ = reports.native(document=document)
    assert "The dump does not say which thread crashed" in page(client, f"/reports/{report_id}")


def test_deep_stack_is_cut_and_says_so(client, reports):
    deep = [native(f"f{number}()", line=1) for number in range(1000)]
    report_id, _ = reports.native(document=analysis(deep))
    html = page(client, f"/reports/{report_id}")
    assert "600 more frames are in the analysis document" in html
    assert len(html) < 1_000_000


def test_dump_of_many_deep_threads_gives_a_page_of_bounded_size(client, reports):
    long = [native(f"{n}" + "f" * 700, line=1, file="g" * 700) for n in range(300)]
    other = [{"thread_id": number, "frames": long} for number in range(60)]
    document = analysis(long)
    document["threads"] += other
    report_id, _ = reports.native(document=document)
    html = page(client, f"/reports/{report_id}")
    assert len(html) < 20_000_000
    assert "300 frames are in the analysis document" in html


def test_document_that_is_too_large_is_told_and_not_read(client, reports, monkeypatch):
    monkeypatch.setattr("lastwords.web.report_view._MAX_DOCUMENT_BYTES", 1000)
    report_id, _ = reports.native()
    html = page(client, f"/reports/{report_id}")
    assert re.search(r"analysis.json has [\d,]+ bytes, too many to show it here", html)
    assert "Download the dump" in html


def test_grouping_is_explained(client, reports):
    report_id, _ = reports.native()
    text = visible(page(client, f"/reports/{report_id}"))
    assert "Why it is grouped here" in text
    assert "victim.simulation:Simulation.step: application&#39;s first python frame" in text


@pytest.mark.parametrize(
    "path", ["/issues/99", "/reports/nothing", "/nowhere", "/static/nothing.css"]
)
def test_unknown_address_is_a_page_of_its_own(client, path):
    assert "Not found" in page(client, path, status=404)


def test_the_clients_id_leads_to_the_report(client, reports, store):
    report_id, _ = reports.native()
    sent = store.report(report_id).client_report_id
    for address in (sent, f"bp-{report_id}"):
        answer = client.get(f"/reports/{address}", follow_redirects=False)
        assert answer.status_code == 302
        assert answer.headers["location"] == f"/reports/{report_id}"


def test_every_page_works_without_scripts_and_styles_of_its_own(client, reports):
    report_id, issue_id = reports.native()
    for path in ("/", "/reports", f"/issues/{issue_id}", f"/reports/{report_id}", "/nowhere"):
        html = client.get(path).text
        assert "<script" not in html
        assert "<style" not in html
        assert " style=" not in html
        assert not re.search(r"\son[a-z]+=", html)
        assert html.count("<h1>") == 1
        assert '<html lang="en">' in html


def test_static_files_are_cached_and_named_by_content(client):
    address = re.search(r'href="(/static/lastwords\.css\?v=\w+)"', client.get("/").text).group(1)
    response = client.get(address)
    assert response.headers["content-type"].startswith("text/css")
    assert "immutable" in response.headers["cache-control"]
    assert client.get("/static/icon.svg").headers["content-type"].startswith("image/svg+xml")


def test_files_are_downloaded_and_never_shown(client, reports):
    report_id = reports.receive(
        files=[
            (BlobKind.DUMP, "dump.dmp", b"MDMP"),
            (BlobKind.ATTACHMENT, "../../<b>evil</b>.html", b"<script>alert(1)</script>"),
        ]
    )
    html = page(client, f"/reports/{report_id}")
    links = re.findall(rf'href="(/reports/{report_id}/files/\w+)"', html)
    assert len(set(links)) == 2
    for link in links:
        response = client.get(link)
        assert response.status_code == 200
        assert response.headers["content-type"] == "application/octet-stream"
        assert response.headers["x-content-type-options"] == "nosniff"
        assert "sandbox" in response.headers["content-security-policy"]
        assert re.fullmatch(
            r'attachment; filename="[\w.-]+"', response.headers["content-disposition"]
        )
    assert client.get(f"/reports/{report_id}/files/{'0' * 64}").status_code == 404
    other = reports.receive(files=[(BlobKind.DUMP, "d", b"other")])
    foreign = re.search(r"/files/(\w+)", page(client, f"/reports/{other}")).group(1)
    assert client.get(f"/reports/{report_id}/files/{foreign}").status_code == 404


def test_frames_of_the_fixture_are_all_on_the_page(client, reports):
    assert isinstance(reports, WebReports)
    report_id, _ = reports.native()
    text = visible(page(client, f"/reports/{report_id}"))
    for frame in FRAMES:
        if frame["function"]:
            assert frame["function"].replace("&", "&amp;") in text


def folded(rounds):
    frames = [native("heat::step", line=4)]
    for number in range(rounds):
        frames += [python("visit", number), native("call", plumbing=True), native("heat::walk")]
    return [*frames, native("main")]


def test_a_recursion_is_shown_once_and_counted(client, reports):
    report_id, _ = reports.native(document=analysis(folded(1_000)))
    text = visible(page(client, f"/reports/{report_id}"))
    assert "repeated 1,000 times (frames 1\N{EN DASH}3,000)" in text
    assert text.count("native heat::walk") == 1
    assert "native main" in text, "the oldest frame is on the page, however deep the recursion"


def test_throws_are_shown_with_the_one_that_nobody_caught_open(client, reports):
    document = analysis(
        throws=[
            {"thread": 1, "thread_id": 4711, "type": "app::<Other>", "frames": []},
            {
                "thread": 1,
                "thread_id": 4711,
                "type": "std::runtime_error",
                "what": "no <gravity>",
                "primary": 0,
                "frames": [native("app::load", line=12)],
            },
        ]
    )
    document["crash_info"]["cpp_exception"] = {"type": "std::runtime_error", "throw": 1}
    mechanism = {"type": "signal", "cpp_exception": {"type": "St13runtime_error"}}
    report = signal_report(mechanism=mechanism)
    report_id, _ = reports.native(document=document, report=report)
    html = page(client, f"/reports/{report_id}")
    text = visible(html)
    assert "Throw 2, thread 4711, the crashing thread: nobody caught it std::runtime_error" in text
    assert "std::runtime_error : no &lt;gravity&gt;" in text.replace("</strong>", " ")
    assert "It rethrew the object of throw 1." in text
    assert "app::load" in text
    assert html.count('exception" open>') == 1
    assert "C++ exception not caught: std::runtime_error" in text


def test_what_the_dump_says_beside_its_stacks_is_shown(client, reports):
    document = analysis(
        handles=[{"handle": 3, "type_name": "File", "object_name": "/tmp/<log>"}, {"handle": "x"}],
        lastwords={
            "dump": {
                "kind": "triage",
                "is_cut": True,
                "comments": ["by <hand>", 7],
                "lacks": ["heap", "memory_map", None],
            },
            "breadcrumbs": [{"time_ns": 1_795_208_721_250_000_000, "message": "opened <x>"}, 5],
        },
    )
    document["threads"][1]["info"] = {"create_time": "2026-11-20", "user_s": 1, "kernel_s": 0.5}
    document["threads"][1]["kernel_stack"] = "S (sleeping)\nwchan: futex"
    document["crash_info"]["stack_overflow"] = {"thread": 1, "stack_bytes": 8192}
    report_id, _ = reports.native(document=document)
    text = visible(page(client, f"/reports/{report_id}"))
    for piece in (
        "Dump triage, cut: memory was left out",
        "Not in the dump heap, memory map",
        "Comment by &lt;hand&gt;",
        "21:05:21.250 opened &lt;x&gt;",
        "3 File /tmp/&lt;log&gt;",
        "started 2026-11-20, 1.50 s of CPU time",
        "wchan: futex",
        "Stack stack overflow, 8,192 bytes in use",
    ):
        assert piece in text, piece


def test_the_reports_own_words_of_the_death_are_shown(client, reports):
    mechanism = {
        "type": "abnormal_end",
        "end": {"cause": "oom_kill", "certainty": "likely", "evidence": ["memory.events"]},
        "last_words": {"source": "python_fatal_error", "text": "no <thread> state"},
        "abort_message": "free(): invalid pointer",
    }
    report_id, _ = reports.native(report=signal_report(mechanism=mechanism))
    text = visible(page(client, f"/reports/{report_id}"))
    assert "likely killed by the kernel: memory was full (memory.events)" in text
    assert "Fatal Python error no &lt;thread&gt; state" in text
    assert "Abort message free(): invalid pointer" in text


def test_likely_causes_are_shown_with_their_evidence(client, reports):
    document = analysis()
    document["crash_info"]["findings"] = [
        {
            "code": "null_pointer",
            "title": "Read through a <null> pointer",
            "confidence": "high",
            "evidence": ["rax is 0", "the address is 0x10", 7],
        },
        {"code": "bit_flip", "confidence": "odd"},
    ]
    document["crash_info"]["exploitability"] = {"rating": "none", "reasons": ["a read of 0x10"]}
    report_id, _ = reports.native(document=document)
    text = visible(page(client, f"/reports/{report_id}"))
    assert (
        "Likely causes Read through a &lt;null&gt; pointer (sure) rax is 0 the address is 0x10"
        in text
    )
    assert "bit_flip (not known how sure)" in text
    assert "Exploitability none a read of 0x10" in text


@pytest.mark.parametrize("odd", [7, "text", [7], {"a": 1}, [{"frames": 3}], [[]]])
def test_odd_documents_give_a_page_all_the_same(client, reports, odd):
    document = analysis(throws=odd, handles=odd, lastwords=odd)
    document["threads"][1].update(info=odd, kernel_stack=odd)
    document["crash_info"].update(stack_overflow=odd, cpp_exception=odd, findings=odd)
    document["crash_info"]["exploitability"] = {"rating": odd, "reasons": odd}
    report_id, _ = reports.native(
        document=document,
        report=signal_report(mechanism={"type": odd, "end": odd, "last_words": odd}),
    )
    assert "Thread 4711" in page(client, f"/reports/{report_id}")
    document["lastwords"] = {"dump": odd, "breadcrumbs": odd}
    report_id, _ = reports.native(document=document)
    assert "Thread 4711" in page(client, f"/reports/{report_id}")

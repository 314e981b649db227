"""Pages in a real browser (Chromium, headless): they look as meant, and nothing foreign runs."""

from __future__ import annotations

import re
import shutil
import subprocess
import threading
import zlib
from contextlib import contextmanager

import pytest
import uvicorn
from web_reports import analysis, native

from lastwords.web import create_app

BROWSER = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(BROWSER is None, reason="no Chromium on PATH (apt-get install chromium)"),
    pytest.mark.timeout(240),
]


@contextmanager
def serving(app):
    """The address of a running server."""
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_config=None, lifespan="off"))
    started = threading.Event()
    original = server.startup

    async def startup(sockets=None):
        await original(sockets)
        started.set()

    server.startup = startup
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        assert started.wait(20)
        port = server.servers[0].sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(20)


@pytest.fixture
def address(store):
    with serving(create_app(store)) as running:
        yield running


@pytest.fixture
def browse(tmp_path):
    def run(url, *options):
        command = [
            BROWSER,
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--hide-scrollbars",
            "--enable-logging=stderr",
            f"--user-data-dir={tmp_path / 'profile'}",
            "--window-size=1280,900",
            *options,
            url,
        ]
        return subprocess.run(command, capture_output=True, text=True, timeout=100, check=True)

    return run


def complaints(log):
    """What the browser's console says about our policy, or about scripts."""
    return [
        line for line in log.splitlines() if re.search(r"Content Security Policy|Uncaught", line)
    ]


def first_pixel(png):
    """Colour of the upper left corner; the first pixel of a PNG is its own prediction."""
    position, data = 8, b""
    while position < len(png):
        size = int.from_bytes(png[position : position + 4], "big")
        if png[position + 4 : position + 8] == b"IDAT":
            data += png[position + 8 : position + 8 + size]
        position += size + 12
    return "#" + zlib.decompress(data)[1:4].hex()


def test_policy_breaches_are_found_by_this_test(browse):
    headers = [(b"content-security-policy", b"default-src 'none'"), (b"content-type", b"text/html")]

    async def app(scope, receive, send):
        body = b"<h1>x</h1><script>document.title = 'evil'</script>"
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    with serving(app) as url:
        done = browse(url, "--dump-dom")
    assert complaints(done.stderr)
    assert "<title>evil" not in done.stdout


def test_pages_follow_the_theme_of_the_reader(reports, address, browse, tmp_path):
    report_id, _ = reports.native()
    picture = tmp_path / "page.png"
    for options, colour in (
        ((), "#f5f7fa"),
        (("--blink-settings=preferredColorScheme=0",), "#1a212b"),
    ):
        done = browse(f"{address}/reports/{report_id}", f"--screenshot={picture}", *options)
        assert first_pixel(picture.read_bytes()) == colour
        assert complaints(done.stderr) == []


def test_hostile_report_runs_nothing(reports, address, browse):
    evil = (
        "</code></span><script>document.title='evil'</script>"
        "<img src=x onerror=\"document.title='evil'\">"
    )
    document = analysis([native(evil, evil, line=1, file=evil)])
    document["annotations"] = {evil: evil}
    report_id, issue_id = reports.native(document=document, version=evil)
    for path in (f"/reports/{report_id}", f"/issues/{issue_id}", "/"):
        done = browse(address + path, "--dump-dom")
        assert "evil" not in re.search(r"<title>([^<]*)", done.stdout).group(1).partition(" in ")[0]
        assert "<script" not in done.stdout
        assert "<img" not in done.stdout
        assert complaints(done.stderr) == []
        assert "&lt;script&gt;" in done.stdout

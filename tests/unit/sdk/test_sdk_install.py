from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import sysconfig
import threading
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import lastwords
import lastwords.errors
from lastwords.sdk import annotations, housekeeping, installation, native
from lastwords.spool.writer import ReportWriter, ensure_spool

if TYPE_CHECKING:
    from collections.abc import Callable


def from_code(installed: lastwords.Installation) -> list[str]:
    return [problem.code for problem in installed.problems]


def install(**settings: object) -> lastwords.Installation:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return lastwords.install(**{"product": "p", "version": "1", **settings})


def test_everything_is_armed(core: object, home: Path) -> None:
    installed = install(dump_dir=home / "spool", url="http://h/submit", attachments=["a.log"])
    assert installed.problems == []
    assert installed.is_native_armed
    assert installed.monitor_pid == 4321
    assert installed.dump_dir == str(home / "spool")
    assert len(installed.hooks) == 3
    [arguments] = core.named("arm")
    assert arguments["monitor_path"] == os.environ["LASTWORDS_MONITOR"]
    assert arguments["spool_dir"] == str(home / "spool")
    assert arguments["attachments"] == [str(Path.cwd() / "a.log")]
    assert arguments["budget_ms"] == 10_000
    assert arguments["is_quiet"] is False
    capture = {"extra_signals": [], "chain_first": "auto", "alternate_stacks": True}
    capture |= {"capture_throws": True, "max_throws_per_s": 50_000}
    options = json.loads(arguments["options"])
    session = Path(options["capture"].pop("session"))
    assert session.parent == home / "spool" / "sessions"
    assert options == {"capture": capture, "monitor": {"max_spool_bytes": 500_000_000}}
    base = json.loads(arguments["report_base"])
    assert base["product"] == "p"
    assert base["url"] == "http://h/submit"
    assert base["client_id"] == installed.client_id
    assert base["process"]["pid"] == os.getpid()
    assert base["process"]["start_time"].endswith("Z")
    assert base["system"]["os"] == os.uname().sysname
    assert set(base) == {"schema", "product", "version", "url", "client_id", "process", "system"}


def test_forgotten_arguments_are_told_not_raised(core: object, home: Path) -> None:
    with pytest.warns(lastwords.errors.LastwordsWarning, match="product|version"):
        installed = lastwords.install(dump_dir=home / "spool")
    assert from_code(installed) == ["setting_wrong_value", "setting_wrong_value"]
    assert installed.is_native_armed


def test_without_a_directory_the_users_state_directory_is_used(core: object, home: Path) -> None:
    installed = install(product="Häuser/../2")
    assert installed.dump_dir == str(home / "state/lastwords/Häuser_.._2")
    assert Path(installed.dump_dir, "pending").is_dir()


def test_installing_twice_changes_nothing(core: object, home: Path) -> None:
    first = install()
    hooks = (sys.excepthook, threading.excepthook, sys.unraisablehook)
    assert install() is first
    assert hooks == (sys.excepthook, threading.excepthook, sys.unraisablehook)
    assert len(core.named("arm")) == 1


def test_installing_with_other_settings_replaces_them(core: object, home: Path) -> None:
    install(version="1")
    hooks = (sys.excepthook, threading.excepthook, sys.unraisablehook)
    install(version="2", quiet=True)
    assert hooks == (sys.excepthook, threading.excepthook, sys.unraisablehook)
    assert json.loads(core.named("arm")[-1]["report_base"])["version"] == "2"
    assert core.named("arm")[-1]["is_quiet"] is True
    assert installation._state.reporter.settings.version == "2"


def test_uninstalling_disarms_and_installing_again_arms(core: object, home: Path) -> None:
    before = (sys.excepthook, threading.excepthook, sys.unraisablehook)
    install()
    lastwords.uninstall()
    assert before == (sys.excepthook, threading.excepthook, sys.unraisablehook)
    assert len(core.named("disarm")) == 1
    assert install().is_native_armed
    lastwords.uninstall()
    lastwords.uninstall()
    assert len(core.named("disarm")) == 2


def test_disabled_means_nothing_is_touched(core: object, home: Path) -> None:
    before = (sys.excepthook, threading.excepthook, sys.unraisablehook)
    installed = install(enabled=False, dump_dir=home / "spool")
    assert not installed.is_enabled
    assert not installed.is_native_armed
    assert installed.hooks == ()
    assert before == (sys.excepthook, threading.excepthook, sys.unraisablehook)
    assert core.calls == []
    assert not (home / "spool").exists()


def test_disabling_takes_an_installation_out(
    core: object, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = sys.excepthook
    install()
    monkeypatch.setenv("LASTWORDS_ENABLED", "0")
    assert not install().is_enabled
    assert sys.excepthook == before
    assert len(core.named("disarm")) == 1


@pytest.mark.parametrize(
    ("settings", "code", "named"),
    [
        ({"budget_s": "soon"}, "setting_wrong_value", "budget_s"),
        ({"product": None}, None, ""),
        ({"product": 3}, "setting_wrong_value", "product"),
        ({"dumpdir": "x"}, "setting_unknown", "dumpdir"),
        ({"hang_timeout": 5}, "setting_without_effect", "hang_timeout"),
    ],
)
def test_a_wrong_setting_is_said_and_everything_is_armed(
    core: object, home: Path, settings: dict, code: str | None, named: str
) -> None:
    installed = install(**settings)
    assert from_code(installed) == ([code] if code else [])
    assert not code or named in installed.problems[0].message
    assert installed.is_native_armed


def test_problems_are_warned_about_at_the_callers_line(core: object, home: Path) -> None:
    with pytest.warns(lastwords.LastwordsWarning, match="hang detection") as caught:
        lastwords.install("p", "1", hang_timeout=5)
    assert caught[0].filename == __file__


def test_warnings_as_errors_do_not_reach_the_application(
    core: object, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        installed = lastwords.install("p", "1", hang_timeout=5)
        lastwords.annotate("", 1)
    assert installed.is_native_armed
    said = capsys.readouterr().err
    assert "hang detection" in said
    assert "annotation key" in said


def test_problems_are_logged(core: object, home: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, logger="lastwords"):
        install(hang_timeout=5)
    assert [record.name for record in caplog.records] == ["lastwords.sdk"]
    assert "setting_without_effect" in caplog.text


def test_an_unusable_directory_is_replaced_by_the_users(core: object, home: Path) -> None:
    (home / "file").write_text("in the way")
    installed = install(dump_dir=home / "file" / "spool")
    assert installed.dump_dir == str(home / "state/lastwords/p")
    assert installed.is_native_armed
    assert core.named("arm")[0]["spool_dir"] == installed.dump_dir
    messages = " ".join(problem.message for problem in installed.problems)
    assert str(home / "file" / "spool") in messages
    assert f"reports go to {installed.dump_dir} instead" in messages


def test_without_any_directory_nothing_is_armed(
    core: object, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (home / "file").write_text("in the way")
    monkeypatch.setenv("XDG_STATE_HOME", str(home / "file"))
    before = sys.excepthook
    installed = install(dump_dir=home / "file" / "spool")
    assert installed.dump_dir is None
    assert installed.hooks == ()
    assert sys.excepthook == before
    assert core.calls == []
    assert "no crash of p will be reported" in installed.problems[-1].message


def test_without_the_core_python_exceptions_are_still_hooked(
    core: object, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "lastwords._native", None)
    monkeypatch.delattr(lastwords, "_native")
    installed = install()
    assert from_code(installed) == ["capture_core_missing"]
    assert len(installed.hooks) == 3
    lastwords.annotate("a", 1)


def test_without_the_monitor_it_is_said_where_it_was_looked_for(
    core: object, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("LASTWORDS_MONITOR")
    monkeypatch.setattr(native, "_is_executable", lambda path: False)
    installed = install()
    assert from_code(installed) == ["capture_monitor_missing"]
    assert str(Path(sys.executable).parent) in installed.problems[0].message
    assert "pip install" in installed.problems[0].hint
    assert core.named("arm") == []


def test_a_monitor_named_by_hand_that_is_not_there_is_said(
    core: object, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LASTWORDS_MONITOR", str(home / "nothing"))
    installed = install()
    assert from_code(installed) == ["capture_monitor_missing"]
    assert "LASTWORDS_MONITOR" in installed.problems[0].message


@pytest.mark.parametrize("place", ["package", "interpreter", "scripts"])
def test_the_monitor_is_found(
    core: object, home: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    monkeypatch.delenv("LASTWORDS_MONITOR")
    places = {
        "package": Path(native.__file__).parents[1] / "bin",
        "interpreter": home / "interpreter",
        "scripts": home / "scripts",
    }
    monkeypatch.setattr(sys, "executable", str(home / "interpreter" / "python"))
    monkeypatch.setattr(sysconfig, "get_path", lambda name: str(home / name))
    wanted = str(places[place] / "lastwords-monitor")
    monkeypatch.setattr(native, "_is_executable", lambda path: path == wanted)
    assert native.find_monitor() == wanted


def test_a_core_that_refuses_is_a_problem_with_its_words(core: object, home: Path) -> None:
    core.failure = RuntimeError(
        "monitor_not_started", "cannot start /x: exec format error", "hint!"
    )
    installed = install()
    assert from_code(installed) == ["capture_not_armed"]
    assert "exec format error (monitor_not_started)" in installed.problems[0].message
    assert installed.problems[0].hint == "hint!"
    assert len(installed.hooks) == 3


def test_a_client_id_that_cannot_be_kept_is_a_problem(core: object, home: Path) -> None:
    (home / "spool").mkdir()
    (home / "spool" / "client_id").mkdir()
    installed = install(dump_dir=home / "spool")
    assert from_code(installed) == ["spool_not_usable"]
    assert installed.client_id is not None
    assert installed.is_native_armed


def test_a_defect_of_ours_does_not_reach_the_application(
    core: object, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*arguments: object) -> None:
        raise ZeroDivisionError("defect")

    monkeypatch.setattr(installation, "ensure_spool", broken)
    assert from_code(install()) == ["install_failed"]
    monkeypatch.setattr(annotations, "scrub_value", broken)
    with pytest.warns(lastwords.LastwordsWarning, match="ZeroDivisionError"):
        lastwords.annotate("a", "b")


def test_annotations_set_before_installing_are_handed_over(core: object, home: Path) -> None:
    lastwords.annotate("early", 1)
    install()
    lastwords.annotate("late", "x")
    assert core.named("set_annotation") == [("early", "1", "int"), ("late", "x", "string")]


def test_a_forked_child_detaches_from_the_monitor(core: object, home: Path) -> None:
    install()
    reading, writing = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pid = os.fork()
    if pid == 0:
        os.write(writing, repr(core.named("after_fork_in_child")).encode())
        os._exit(0)
    os.waitpid(pid, 0)
    assert os.read(reading, 100) == b"[None]"
    assert core.named("after_fork_in_child") == []
    os.close(reading)
    os.close(writing)


LEAN = """
import sys
before = set(sys.modules)
import lastwords
assert lastwords.install("p", "1", dump_dir=sys.argv[1], enabled=True) is not None
print(*sorted(set(sys.modules) - before))
"""


def test_installing_imports_nothing_expensive(home: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-S", "-c", LEAN, str(home / "spool")],
        check=True, capture_output=True, text=True, timeout=60,
        env={**os.environ, "PYTHONPATH": str(Path(lastwords.__file__).parents[1])},
    )  # fmt: skip
    imported = set(ended.stdout.split())
    assert "lastwords.sdk.hooks" in imported
    expensive = {"re", "json", "typing", "dataclasses", "inspect", "pathlib", "logging", "urllib",
                 "http", "http.client", "socket", "ssl", "subprocess", "traceback", "uuid",
                 "tempfile", "datetime", "shutil", "email"}  # fmt: skip
    # A missing core makes a warning, and printing one imports `linecache`, `tokenize` and `re`.
    if "linecache" in imported:
        expensive -= {"re"}
    assert imported & expensive == set()


def leave_report(spool: Path, url: str | None = None) -> None:
    ensure_spool(str(spool))
    writer = ReportWriter(str(spool))
    writer.write_document(json.dumps({"schema": 1, "product": "p", "url": url}))
    writer.commit()


@pytest.fixture
def threads(monkeypatch: pytest.MonkeyPatch) -> list[threading.Thread]:
    """The housekeeping threads that were started."""
    started: list[threading.Thread] = []
    real = housekeeping.start_housekeeping

    def start(*arguments: object) -> threading.Thread:
        started.append(real(*arguments))
        return started[-1]

    monkeypatch.setattr(housekeeping, "start_housekeeping", start)
    return started


@pytest.mark.parametrize(
    ("settings", "is_sent"),
    [
        ({"consent": "always"}, True),
        ({"consent": "always", "skip_old_reports": True}, False),
        ({"consent": "ask"}, False),
        ({"consent": "never"}, False),
        ({}, False),
    ],
)
def test_old_reports_are_delivered_only_where_that_is_allowed(
    core: object, home: Path, serve: Callable, threads: list, *, settings: dict, is_sent: bool
) -> None:
    server = serve("answer 200 id")
    leave_report(home / "spool")
    install(dump_dir=home / "spool", url=server.url, **settings)
    [thread] = threads
    thread.join(60)
    assert thread.daemon
    assert len(server.requests) == is_sent
    stage = "completed" if is_sent else "pending"
    assert len(list((home / "spool" / stage).iterdir())) == 1


def test_without_a_url_nothing_is_delivered(
    core: object, home: Path, serve: Callable, threads: list
) -> None:
    server = serve("answer 200 id")
    leave_report(home / "spool", server.url)
    install(dump_dir=home / "spool", consent="always")
    threads[0].join(60)
    assert server.requests == []


def test_an_empty_spool_starts_no_thread(core: object, home: Path, threads: list) -> None:
    install(dump_dir=home / "spool", url="http://127.0.0.1:9/", consent="always")
    assert threads == []


def test_a_hanging_server_does_not_hold_up_install(
    core: object, home: Path, serve: Callable, threads: list
) -> None:
    server = serve("hang")
    leave_report(home / "spool")
    install(dump_dir=home / "spool", url=server.url, consent="always", idle_timeout_s=0.3)
    assert threads[0].is_alive()
    threads[0].join(60)
    assert (
        json.loads(next((home / "spool/pending").glob("*/delivery.json")).read_text())["attempts"]
        == 1
    )

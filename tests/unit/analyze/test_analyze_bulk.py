"""The pool with workers that really hang, die and take memory; what they analyse is made up."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import asdict
from pathlib import Path

import pytest

from lastwords.analyze.bulk import (
    BulkOrder,
    Outcome,
    Summary,
    analyze_many,
    pool,
    summary_of,
    worker,
)
from lastwords.report.analysis import (
    Address,
    Analysis,
    CrashInfo,
    Frame,
    FrameKind,
    InlineFrame,
    Module,
    Thread,
)
from lastwords.signature.in_app import InApp

WORKER = """
import os, signal, sys, time
from lastwords.analyze.bulk.worker import serve
from lastwords.errors import DumpError

def analyze(path, order):
    word = path.name.split("-")[0]
    if word == "hang":
        time.sleep(600)
    if word == "spin":
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        while True:
            pass
    if word == "die":
        os.kill(os.getpid(), signal.SIGSEGV)
    if word == "leave":  # its output ends before it does
        os.closerange(3, 64)
        os.close(1)
        time.sleep(0.3)
        os._exit(7)
    if word == "memory":
        bytearray(order.max_memory_bytes)
    if word == "refuse":
        raise DumpError("dump_empty", f"{path}: the file is empty", "another one")
    if word == "print":
        print("a library that talks")
    if word == "slow":
        time.sleep(0.5)
    size = 3 << 20 if word == "large" else 0
    text = f"{path.name} {os.getpid()} {os.environ['TMPDIR']}"
    return text.encode() + bytes(size), word == "part"

serve(analyze)
"""
COMMAND = (sys.executable, "-c", WORKER)


def run(*names: str, workers: int = 2, is_ordered: bool = True, **order: object) -> list[Outcome]:
    return list(
        analyze_many(
            [Path(name) for name in names],
            BulkOrder(**order),  # type: ignore[arg-type]
            workers=workers,
            is_ordered=is_ordered,
            command=COMMAND,
        )
    )


def names(outcomes: list[Outcome]) -> list[str]:
    return [outcome.path.name for outcome in outcomes]


def code(outcome: Outcome) -> str | None:
    return outcome.failure.code if outcome.failure else None


def test_outcomes_stand_in_the_order_of_the_input() -> None:
    given = ["slow-0", *(f"ok-{number}" for number in range(40))]
    outcomes = run(*given)
    assert names(outcomes) == given
    assert [outcome.index for outcome in outcomes] == list(range(41))
    assert [(o.answer or b"").split()[0].decode() for o in outcomes] == given


def test_a_slow_dump_does_not_make_others_pile_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "_HELD_BYTES", 8 << 20)
    many = [f"large-{number}" for number in range(12)]
    started: list[str] = []
    give = pool._Worker.give

    def watched(worker: pool._Worker, task: int, path: Path) -> None:
        started.append(path.name)
        give(worker, task, path)

    monkeypatch.setattr(pool._Worker, "give", watched)
    outcomes = analyze_many(
        [Path(name) for name in ("slow-0", *many)], BulkOrder(), workers=2, command=COMMAND
    )
    next(outcomes)
    assert len(started) <= 6  # of 3 MiB each
    assert names(list(outcomes)) == many


def test_outcomes_come_as_they_are_there_on_request() -> None:
    outcomes = run("slow-0", "ok-1", "ok-2", is_ordered=False)
    assert names(outcomes)[-1] == "slow-0"


def test_workers_are_started_once_and_do_many() -> None:
    outcomes = run(*(f"ok-{number}" for number in range(30)))
    assert len({(outcome.answer or b"").split()[1] for outcome in outcomes}) <= 2


@pytest.mark.parametrize("word", ["hang", "spin"])
def test_a_dump_that_hangs_is_given_up(word: str) -> None:
    started_s = time.monotonic()
    outcomes = run(word, "ok-1", "ok-2", timeout_s=1.0)
    assert time.monotonic() - started_s < 30
    assert [code(outcome) for outcome in outcomes] == ["analysis_timed_out", None, None]
    assert "longer than 1 s" in outcomes[0].failure.message  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("word", "how"),
    [("die", "SIGSEGV"), ("leave", "exit status 7"), ("memory", "more than 1024 MiB")],
)
def test_a_dump_that_kills_its_worker_is_a_failure_and_the_worker_is_replaced(
    word: str, how: str
) -> None:
    given = ["ok-0", word, "ok-1", f"{word}-again", "ok-2"]
    outcomes = run(*given, workers=1, max_memory_bytes=1 << 30)
    died = "analysis_died"
    assert [code(outcome) for outcome in outcomes] == [None, died, None, died, None]
    assert how in outcomes[1].failure.message  # type: ignore[union-attr]
    assert "--max-memory" in (outcomes[1].failure.hint or "")  # type: ignore[union-attr]


def test_an_error_of_ours_keeps_its_code_message_and_hint() -> None:
    (outcome,) = run("refuse")
    failure = outcome.failure
    assert failure is not None
    assert (failure.code, failure.message) == ("dump_empty", "refuse: the file is empty")
    assert failure.hint == "another one"


def test_what_a_library_prints_is_no_answer(capfd: pytest.CaptureFixture[str]) -> None:
    (outcome,) = run("print")
    assert (outcome.answer or b"").startswith(b"print ")
    assert "a library that talks" in capfd.readouterr().err


def test_a_worker_takes_no_module_from_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("json", "resource", "struct"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit(99)")
    (tmp_path / "empty.dmp").touch()
    (outcome,) = analyze_many([Path("empty.dmp")], BulkOrder(), workers=1)
    assert code(outcome) == "dump_empty"


def test_a_worker_asks_all_servers_through_one_downloader() -> None:
    order = BulkOrder(symbols=("https://a.example", "https://b.example"), in_app=("app*",))
    told = worker._order(json.loads(json.dumps(asdict(order))))
    assert told == order
    assert worker._downloader(told) is worker._downloader(order)
    assert [server.url for server in worker._downloader(told).servers] == list(order.symbols)


def test_large_answers_come_whole_and_partial_ones_say_so() -> None:
    large, part = run("large", "part")
    assert len(large.answer or b"") > 3 << 20
    assert (large.is_partial, part.is_partial) == (False, True)


def test_a_run_that_is_left_ends_its_workers_and_removes_their_files() -> None:
    outcomes = analyze_many(
        [Path(name) for name in ("ok", "hang", "hang")], BulkOrder(), workers=2, command=COMMAND
    )
    _, pid, scratch = (next(outcomes).answer or b"").decode().split()
    outcomes.close()
    assert not Path(scratch).exists()
    assert not Path("/proc", pid).exists()


def test_the_summary_is_the_newest_in_app_frame() -> None:
    frames = (
        Frame(module="libc.so.6", function="memcpy"),
        Frame(
            module="app",
            function="outer",
            inlines=(InlineFrame(function="inner", file="/src/a.c", line=7),),
        ),
    )
    modules = (Module(filename="libc.so.6", code_file="/lib/libc.so.6"), Module(filename="app"))
    analysis = Analysis(
        crash_info=CrashInfo(type="SIGSEGV", address=Address(16)),
        crashing_thread=Thread(frames=frames),
        modules=modules,
    )
    summary = summary_of(analysis, InApp(modules))
    assert summary == Summary(
        reason="SIGSEGV", address="0x00000010", function="inner", file="/src/a.c", line=7,
        module="app", is_in_app=True,
    )  # fmt: skip
    assert Summary.from_json(summary.to_json()) == summary


def test_without_in_app_frames_the_summary_is_the_newest_frame() -> None:
    frame = Frame(kind=FrameKind.NATIVE, module="libc.so.6", module_offset=Address(0x1F))
    analysis = Analysis(crashing_thread=Thread(frames=(frame,)))
    summary = summary_of(analysis, InApp())
    assert (summary.function, summary.is_in_app) == ("libc.so.6+0x1f", False)
    assert summary_of(Analysis(), InApp()) == Summary()

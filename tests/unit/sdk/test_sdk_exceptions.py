"""Real programs end with real exceptions; what they leave in the spool is read."""

from __future__ import annotations

import resource
import signal
import sys
from typing import TYPE_CHECKING

import pytest

from lastwords.report.crash_report import CrashReport

if TYPE_CHECKING:
    from collections.abc import Callable


def test_an_exception_that_ends_the_program_is_reported(run: Callable) -> None:
    ended = run(
        "lastwords.annotate('scene', 'town')\n"
        "def inner(n):\n"
        "    return {}['missing'] + n\n"
        "class C:\n"
        "    def outer(self):\n"
        "        inner(1)\n"
        "C().outer()\n"
    )
    report = ended.report()
    assert report["product"] == "p"
    assert report["version"] == "1.2"
    assert report["mechanism"]["type"] == "python_exception"
    assert report["mechanism"]["handled"] is False
    assert report["annotations"] == {"scene": "town"}
    error = report["exception"]
    assert (error["type"], error["module"], error["message"]) == (
        "KeyError", "builtins", "'missing'",
    )  # fmt: skip
    assert error["thread_name"] == "MainThread"
    assert [frame["function"] for frame in error["frames"]] == ["<module>", "outer", "inner"]
    if sys.version_info >= (3, 11):
        assert error["frames"][1]["qualname"] == "C.outer"
        last = error["frames"][-1]
        assert (last["column"], last["end_column"]) == (11, 24)
        assert last["line"] == last["end_line"]
    assert report["soft_errors"] == []
    assert CrashReport.from_json(report).soft_errors == ()


def test_the_program_ends_as_it_would_without(run: Callable) -> None:
    with_sdk = run("raise ValueError('boom')", quiet=True)
    without = run("raise ValueError('boom')", enabled=False)
    assert with_sdk.returncode == without.returncode == 1
    assert with_sdk.stderr == without.stderr
    assert "ValueError: boom" in with_sdk.stderr
    assert len(with_sdk.reports()) == 1


def test_unless_quiet_the_report_is_named(run: Callable) -> None:
    ended = run("raise ValueError('boom')")
    assert f"crash report {ended.report()['report_id']}" in ended.stderr


@pytest.mark.parametrize(
    ("program", "status"),
    [
        ("sys.exit(3)", 3),
        ("raise SystemExit('bye')", 1),
        ("raise KeyboardInterrupt", -signal.SIGINT),
        ("pass", 0),
        ("threading.Thread(target=sys.exit).start()", 0),
    ],
)
def test_an_ordinary_end_is_no_crash(run: Callable, program: str, status: int) -> None:
    ended = run(program)
    assert ended.returncode == status
    assert ended.reports() == []


def test_an_exception_in_a_thread_is_reported_and_the_program_goes_on(run: Callable) -> None:
    ended = run(
        "def work():\n    raise RuntimeError('in a thread')\n"
        "t = threading.Thread(target=work, name='worker-7'); t.start(); t.join()\n"
        "print('still here')\n"
    )
    assert (ended.returncode, ended.stdout) == (0, "still here\n")
    report = ended.report()
    assert report["mechanism"]["type"] == "thread_exception"
    assert report["exception"]["thread_name"] == "worker-7"
    assert report["exception"]["frames"][-1]["function"] == "work"
    assert "Exception in thread worker-7" in ended.stderr


def test_an_unraisable_exception_is_reported(run: Callable) -> None:
    ended = run(
        "class Bad:\n"
        "    def __del__(self):\n        raise OSError('in del')\n"
        "    def __repr__(self):\n        raise SystemError('must not be called by us')\n"
        "Bad()\n"
    )
    assert ended.returncode == 0
    report = ended.report()
    assert report["mechanism"]["type"] == "unraisable_exception"
    assert "__del__" in report["mechanism"]["description"]
    assert report["exception"]["message"] == "in del"


def test_hooks_that_were_there_before_are_called(run: Callable) -> None:
    before = (
        "import sys, threading\n"
        "sys.excepthook = lambda *a: print('mine', a[0].__name__)\n"
        "threading.excepthook = lambda a: print('thread', a.exc_type.__name__)\n"
        "sys.unraisablehook = lambda a: print('unraisable', a.exc_type.__name__)\n"
    )
    ended = run(
        "def work():\n    raise KeyError\n"
        "t = threading.Thread(target=work); t.start(); t.join()\n"
        "class Bad:\n    def __del__(self): raise OSError\n"
        "Bad()\n"
        "raise ValueError\n",
        preamble=before + _preamble(),
    )
    assert ended.stdout.splitlines() == ["thread KeyError", "unraisable OSError", "mine ValueError"]
    assert len(ended.reports()) == 3


def _preamble() -> str:
    return (
        "import lastwords, sys, threading, warnings\n"
        "warnings.simplefilter('ignore')\n"
        "lastwords.install('p', '1.2', **SETTINGS)\n"
    )


def test_a_hook_set_afterwards_stays_in_charge(run: Callable) -> None:
    ended = run(
        "ours = sys.excepthook\n"
        "def mine(*a):\n    print('first'); ours(*a)\n"
        "sys.excepthook = mine\n"
        "lastwords.uninstall()\n"
        "assert sys.excepthook is mine\n"
        "raise ValueError\n"
    )
    assert ended.stdout == "first\n"
    assert "ValueError" in ended.stderr
    assert ended.reports() == []


def test_uninstalling_puts_everything_back(run: Callable) -> None:
    ended = run(
        "lastwords.uninstall()\n"
        "assert sys.excepthook is sys.__excepthook__\n"
        "assert threading.excepthook is threading.__excepthook__\n"
        "assert sys.unraisablehook is sys.__unraisablehook__\n"
        "raise ValueError\n"
    )
    assert ended.stderr.endswith("ValueError\n"), ended.stderr
    assert ended.reports() == []


def test_causes_and_contexts_are_followed_as_a_traceback_does(run: Callable) -> None:
    ended = run(
        "def a():\n    raise ValueError('first')\n"
        "def b():\n"
        "    try:\n        a()\n"
        "    except ValueError as e:\n        raise KeyError('second') from e\n"
        "try:\n    b()\n"
        "except KeyError:\n    raise TypeError('third')\n"
    )
    error = ended.report()["exception"]
    assert (error["type"], error["cause"]) == ("TypeError", None)
    assert error["context"]["type"] == "KeyError"
    assert error["context"]["cause"]["message"] == "first"
    assert [f["function"] for f in error["context"]["cause"]["frames"]] == ["b", "a"]
    hidden = run("try:\n    1/0\nexcept ZeroDivisionError:\n    raise ValueError from None\n")
    assert hidden.reports()[-1]["exception"]["context"] is None


def test_a_chain_that_bites_its_tail_ends(run: Callable) -> None:
    ended = run(
        "a, b = ValueError('a'), ValueError('b')\na.__cause__, b.__cause__ = b, a\nraise a\n"
    )
    report = ended.report()
    assert report["exception"]["cause"]["cause"] is None
    assert [e["code"] for e in report["soft_errors"]] == ["chain_cut"]


def test_a_long_chain_is_cut(run: Callable) -> None:
    ended = run(
        "e = None\nfor i in range(5000):\n    n = ValueError(i); n.__cause__ = e; e = n\nraise e\n",
        quiet=True,
    )
    report = ended.report()
    depth, error = 0, report["exception"]
    while error is not None:
        depth, error = depth + 1, error["cause"]
    assert depth == 20
    assert report["soft_errors"][0]["code"] == "chain_cut"


def test_of_a_deep_recursion_both_ends_are_kept(run: Callable) -> None:
    ended = run("def down(n):\n    return down(n + 1)\ndef start():\n    down(0)\nstart()\n")
    report = ended.report()
    assert report["exception"]["type"] == "RecursionError"
    frames = report["exception"]["frames"]
    assert len(frames) == 500
    assert [f["function"] for f in frames[:3]] == ["<module>", "start", "down"]
    assert report["soft_errors"][0]["code"] == "frames_cut"


def test_the_newest_frames_come_in_order(run: Callable) -> None:
    ended = run(
        "sys.setrecursionlimit(20_000)\n"
        "lines = ['def f0(): raise ValueError']\n"
        "lines += [f'def f{n}(): f{n - 1}()' for n in range(1, 777)]\n"
        "exec('\\n'.join(lines))\n"
        "f776()\n"
    )
    frames = ended.report()["exception"]["frames"]
    names = [frame["function"] for frame in frames[1:]]
    assert names == [f"f{n}" for n in [*range(776, 527, -1), *range(249, -1, -1)]]


def test_notes_and_groups_are_kept(run: Callable) -> None:
    if sys.version_info < (3, 11):
        pytest.skip("exception notes and groups came with Python 3.11")
    ended = run(
        "e = ExceptionGroup('many', [ValueError('one'), KeyError('two')])\n"
        "e.add_note('while loading'); raise e\n"
    )
    notes = ended.report()["exception"]["notes"]
    assert notes == [
        "while loading", "member 1 of 2: ValueError: one", "member 2 of 2: KeyError: 'two'",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("definition", "expected"),
    [
        ("def __str__(self): raise ValueError", "[its __str__ raised ValueError]"),
        ("def __str__(self): return 3", "[its __str__ raised TypeError]"),
        ("def __str__(self): return 'x' * 10**7", "characters]"),
        ("def __str__(self): return '\\ud800\\x00'", "\ud800\x00"),
        ("__notes__ = 7", ""),
        ("__cause__ = property(lambda self: 1 / 0)", ""),
        ("__module__ = None", ""),
    ],
)
def test_hostile_exceptions_are_reported(run: Callable, definition: str, expected: str) -> None:
    ended = run(f"class E(Exception):\n    {definition}\nraise E\n")
    error = ended.report()["exception"]
    assert error["type"] == "E"
    assert error["message"].endswith(expected)
    assert len(error["message"]) < 9000


def test_secrets_are_scrubbed_before_anything_is_written(run: Callable) -> None:
    ended = run(
        "lastwords.annotate('db_password', 'hunter2hunter2')\n"
        "lastwords.annotate('url', 'https://bob:hunter2hunter2@h/')\n"
        "try:\n    raise ValueError('token=hunter2hunter2')\n"
        "except ValueError as e:\n"
        "    raise RuntimeError('Authorization: Bearer hunter2hunter2') from e\n"
    )
    assert len(ended.reports()) == 1
    for file in ended.spool.rglob("*"):
        assert not file.is_file() or b"hunter2" not in file.read_bytes(), file


def test_attachments_are_copied_and_missing_ones_said(run: Callable, home: object) -> None:
    (home / "app.log").write_text("last line")
    ended = run("raise ValueError", attachments=["app.log", "missing.log"])
    report = ended.report()
    assert [item["name"] for item in report["attachments"]] == ["app.log"]
    error = report["soft_errors"][0]
    assert (error["code"], error["where"]) == ("attachment_not_copied", str(home / "missing.log"))


def test_a_thread_that_fails_in_a_loop_does_not_fill_the_disk(run: Callable) -> None:
    ended = run(
        "def work(): raise RuntimeError\n"
        "for _ in range(8):\n"
        "    t = threading.Thread(target=work); t.start(); t.join()\n"
        "raise ValueError('the end')\n",
        max_reports=3,
    )
    kinds = [report["exception"]["type"] for report in ended.reports()]
    assert sorted(kinds) == ["RuntimeError"] * 3 + ["ValueError"]


def test_an_interactive_session_goes_on_without_reports(run: Callable) -> None:
    ended = run("sys.ps1 = '> '\nraise ValueError")
    assert ended.reports() == []
    assert "ValueError" in ended.stderr


def test_a_memory_error_is_reported(run: Callable) -> None:
    limit = 1 << 30

    def limited() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))

    ended = run("x = []\nwhile True:\n    x.append(bytearray(50_000_000))\n", before=limited)
    assert ended.report()["exception"]["type"] == "MemoryError"


def test_a_full_disk_costs_the_report_and_nothing_else(run: Callable) -> None:
    def limited() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (60, 60))

    ended = run("raise ValueError('boom')", "-B", before=limited)
    assert ended.returncode == 1
    assert "ValueError: boom" in ended.stderr
    assert "no report could be written" in ended.stderr
    assert ended.reports() == []
    assert list((ended.spool / "new").iterdir()) == []


def test_with_little_space_the_attachments_go_first(run: Callable, home: object) -> None:
    (home / "app.log").write_bytes(b"x" * 2000)
    ended = run(
        "from lastwords.spool import writer\n"
        "real, left = writer.write_file, [1]\n"
        "def no_space(path, data):\n"
        "    left[0] -= 1\n"
        "    if left[0] >= 0: raise OSError(28, 'No space left on device')\n"
        "    real(path, data)\n"
        "writer.write_file = no_space\n"
        "raise ValueError('boom')\n",
        attachments=["app.log"],
    )
    report = ended.report()
    assert report["attachments"] == []
    assert report["soft_errors"][0]["code"] == "attachments_dropped"
    assert list(ended.spool.glob("pending/*/attachments/*")) == []


def test_a_spool_that_vanished_costs_the_report_and_nothing_else(run: Callable) -> None:
    ended = run("import shutil; shutil.rmtree(installation.dump_dir)\nraise ValueError('boom')")
    assert ended.returncode == 1
    assert "ValueError: boom" in ended.stderr
    assert "no report could be written" in ended.stderr


@pytest.mark.parametrize("state", ["sys.stderr = None", "sys.stderr.close()"])
def test_a_missing_stderr_does_not_matter(run: Callable, state: str) -> None:
    assert len(run(f"{state}\nraise ValueError").reports()) == 1


def test_a_forked_child_reports_as_itself(run: Callable) -> None:
    ended = run(
        "import os\n"
        "pid = os.fork()\n"
        "if pid == 0:\n"
        "    raise ValueError('child')\n"
        "os.waitpid(pid, 0)\n"
        "print(pid)\n"
    )
    report = ended.report()
    assert report["process"]["pid"] == int(ended.stdout)
    assert report["exception"]["message"] == "child"


def test_an_exception_at_the_very_end_of_the_interpreter_does_no_harm(run: Callable) -> None:
    ended = run(
        "class Late:\n    def __del__(self): raise ValueError('late')\n"
        "keep = Late()\n"
        "keep.me = keep\n"
    )
    assert ended.returncode == 0
    assert "Error in" not in ended.stderr


def test_a_message_that_ends_the_program_still_makes_a_report(run: Callable) -> None:
    ended = run(
        "class E(Exception):\n    def __str__(self):\n        raise SystemExit(7)\nraise E\n"
    )
    assert ended.report()["exception"]["message"] == "[its __str__ raised SystemExit]"

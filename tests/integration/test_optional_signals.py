"""QUIT, XCPU and XFSZ are reported when that was asked for, and end the process as without us."""

from __future__ import annotations

import signal

import pytest
from dying import Death, Home, analyze, run_python

pytestmark = pytest.mark.integration

START = """
import os, resource, signal, sys
import lastwords

def install(**settings):
    settings |= {"dump_dir": os.environ["DUMPS"], "report_abnormal_ends": False}
    return lastwords.install(product="p", version="1", **settings)

"""
QUIT = "os.kill(os.getpid(), signal.SIGQUIT); signal.pause()"
XCPU = "resource.setrlimit(resource.RLIMIT_CPU, (1, 5))\nwhile True: pass"
XFSZ = """resource.setrlimit(resource.RLIMIT_FSIZE, (100, resource.RLIM_INFINITY))
large = os.open(os.environ["DUMPS"] + "/large", os.O_CREAT | os.O_WRONLY)
os.write(large, bytes(1000))
os.write(large, bytes(1000))
"""
WAYS = {"QUIT": QUIT, "XCPU": XCPU, "XFSZ": XFSZ}
DEFAULT_XFSZ = "signal.signal(signal.SIGXFSZ, signal.SIG_DFL)\n"


def run(home: Home, program: str, extra_signals: str = "") -> Death:
    return run_python(
        ["-c", START + program],
        home,
        DUMPS=str(home.spool),
        LASTWORDS_EXTRA_SIGNALS=extra_signals,
    )


@pytest.mark.parametrize("name", WAYS)
def test_the_signal_is_reported_and_still_ends_the_process(name: str, home: Home) -> None:
    number = signal.Signals[f"SIG{name}"]
    death = run(home, f"{DEFAULT_XFSZ}install(extra_signals='SIG{name}')\n{WAYS[name]}")
    assert death.returncode == -number, death.stderr
    report = home.report()
    assert report.document["mechanism"]["signal"]["name"] == number.name
    assert report.document["mechanism"]["signal"]["address"] is None
    assert number.name in analyze(report.dump)["crash_info"]["type"]


@pytest.mark.parametrize("name", WAYS)
def test_without_the_setting_nothing_is_reported(name: str, home: Home) -> None:
    others = ",".join(set(WAYS) - {name})
    death = run(home, f"{DEFAULT_XFSZ}install(extra_signals={others!r})\n{WAYS[name]}")
    assert death.returncode == -signal.Signals[f"SIG{name}"], death.stderr
    assert home.reports() == []


def test_the_environment_asks_for_them_too(home: Home) -> None:
    death = run(home, f"install()\n{QUIT}", extra_signals="quit,xcpu")
    assert death.returncode == -signal.SIGQUIT, death.stderr
    assert home.report().document["mechanism"]["signal"]["name"] == "SIGQUIT"


def test_a_signal_no_longer_wanted_is_left_alone_again(home: Home) -> None:
    death = run(home, f"install(extra_signals='QUIT')\ninstall()\n{QUIT}")
    assert death.returncode == -signal.SIGQUIT, death.stderr
    assert home.reports() == []


def test_a_signal_that_the_host_ignores_stays_ignored_and_that_is_said(home: Home) -> None:
    tell = "print(*[p.message for p in install(extra_signals='XFSZ,QUIT').problems])\n"
    program = f"signal.signal(signal.SIGQUIT, signal.SIG_IGN)\n{tell}os.kill(os.getpid(), 3)\n"
    death = run(home, program + XFSZ)
    assert death.returncode == 1, death.stderr
    assert "File too large" in death.stderr
    assert "SIGXFSZ is ignored by this process" in death.stdout
    assert "SIGQUIT is ignored by this process" in death.stdout
    assert home.reports() == []


def test_a_limited_file_size_does_not_stop_the_report_of_a_fault(home: Home) -> None:
    program = f"""{DEFAULT_XFSZ}
resource.setrlimit(resource.RLIMIT_FSIZE, (100, resource.RLIM_INFINITY))
print(*[p.code for p in install(extra_signals='XFSZ').problems])
"""
    death = run(home, program)
    assert death.returncode == 0, death.stderr
    assert "capture_not_armed" in death.stdout
    assert home.reports() == []

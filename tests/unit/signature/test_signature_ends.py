from __future__ import annotations

import pytest

from lastwords.signature import REQUESTED, KeyKind, from_report, sign
from lastwords.triage import issue_title


def ended(cause: str, **more: object) -> dict[str, object]:
    return {"mechanism": {"type": "abnormal_end", "end": {"cause": cause, **more}}}


@pytest.mark.parametrize(
    ("report", "signature", "title"),
    [
        (ended("oom_kill"), "oom_kill", "killed by the kernel: memory was full"),
        (ended("sigkill", signal=9), "sigkill", "killed by SIGKILL"),
        (ended("os_exit", exit_code=3), "os_exit 3", "ended by os._exit() with status 3"),
        ({"mechanism": {"type": "abnormal_end", "end": None}}, "unknown", "not known"),
    ],
)
def test_an_end_is_grouped_by_its_cause(
    report: dict[str, object], signature: str, title: str
) -> None:
    result = sign(from_report(report))
    assert result.text == f"abnormal_end | {signature}"
    assert [key.kind for key in result.keys] == [KeyKind.REASON]
    assert issue_title(result) == f"Abnormal end: {title}"


def test_a_signal_is_named() -> None:
    report = ended("signal", signal=10)
    report["mechanism"]["signal"] = {"number": 10, "name": "SIGUSR1"}  # type: ignore[index]
    assert sign(from_report(report)).text == "abnormal_end | SIGUSR1"
    assert issue_title(sign(from_report(report))) == "Abnormal end: ended by SIGUSR1"


def test_a_dump_on_demand_is_no_crash() -> None:
    report = {"mechanism": {"type": "requested"}}
    result = sign(from_report(report, {"crash_info": {"type": "0xffffffff"}}))
    assert result.text.startswith(REQUESTED)


def test_dumps_on_demand_are_told_apart_by_who_asked() -> None:
    def dumped_by(caller: str) -> str:
        names = [("dump", "/p/lastwords/sdk/on_demand.py", "lastwords.sdk.on_demand")]
        names.append((caller, "/app/heat.py", "heat"))
        frames = [
            {
                "frame": number,
                "kind": "python",
                "function": name,
                "trust": "python",
                "python": {"qualname": name, "file": file, "module": module},
            }
            for number, (name, file, module) in enumerate(names)
        ]
        native = {"frame": 0, "function": "std::panicking::catch_unwind", "module": "_native.so"}
        crash = {"type": "DUMP_REQUESTED", "crashing_thread": 0}
        document = {"crash_info": crash, "threads": [{"frames": [native, *frames]}]}
        return sign(from_report({"mechanism": {"type": "requested"}}, document)).text

    assert dumped_by("slow") == "dump on demand | heat:slow"
    assert dumped_by("stuck") != dumped_by("slow")

"""Every kind of dump of a real process: what is there, what is not, and who can read it."""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import zlib
from pathlib import Path

import pytest
from dying import PROGRAMS, Death, Home, analyze, run_python
from foreign import read_with_breakpad, read_with_lldb
from minidump_streams import CMD_LINE, ENVIRON, KERNEL, MAPS, MEMORY64_LIST, DumpFile, open_dump

REPOSITORY = Path(__file__).parents[2]
PAGE = REPOSITORY / "docs" / "formats" / "dump-kinds.md"
pytestmark = pytest.mark.integration

SECRETS = (
    "planted-stack",
    "planted-heap",
    "planted-annotation",
    "planted-breadcrumb",
    "planted-file",
    "planted-argument",
    "planted-environment",
    "annabelle",
    "secret-project",
)
MB = 1 << 20


@pytest.fixture
def anns_home(tmp_path: Path) -> Home:
    """A home that tells whose it is."""
    folder = tmp_path / "annabelle"
    folder.mkdir()
    return Home(folder=folder)


def die(home: Home, *kinds: str, where: str = "main", **settings: object) -> Death:
    """Let the program die of a program file and with a library that lie in its user's home."""
    project = home.folder / "secret-project"
    project.mkdir(exist_ok=True)
    program = shutil.copy(PROGRAMS / "die_dumped.py", project / "app.py")
    settings = {"dump_dir": str(home.spool), "dump_kinds": kinds, **settings}
    arguments = [program, json.dumps(settings), where, "planted-argument"]
    death = run_python(arguments, home, PLANTED="planted-environment", USER="annabelle")
    assert death.returncode == -signal.SIGSEGV, death.stderr
    return death


def dumps_of(home: Home) -> dict[str, DumpFile]:
    """Kind → dump, in the order of the report."""
    report = home.report()
    dumps = report.document["dumps"]
    assert dumps[0] == report.document["dump"]
    assert dumps[0]["file"] == "dump.dmp"
    for dump in dumps:
        assert (report.folder / dump["file"]).stat().st_size == dump["size_bytes"]
    return {dump["kind"]: open_dump(report.folder / dump["file"]) for dump in dumps}


def soft_errors(home: Home) -> dict[str, str]:
    return {error["code"]: error["message"] for error in home.report().document["soft_errors"]}


def test_one_event_leaves_a_dump_of_each_kind_the_smallest_first(anns_home: Home) -> None:
    facts = die(anns_home, "full", "mini", "custom:WithThreadInfo", "kernel", "triage").facts
    dumps = dumps_of(anns_home)
    assert list(dumps) == ["triage", "mini", "kernel", "custom", "full"]
    sizes = {kind: len(dump.data) for kind, dump in dumps.items()}
    assert sizes["triage"] < sizes["mini"] < sizes["full"]
    assert anns_home.report().document["dumps"][3]["flags"] == 0x1000
    told = dict(
        re.findall(r"^\| `(\w+)` \| (0x[0-9A-F]+) \|", PAGE.read_text("utf-8"), re.MULTILINE)
    )
    for kind in ("triage", "mini", "kernel", "full"):
        assert dumps[kind].flags == int(told[kind], 16), kind
    folder = anns_home.report().folder
    for dump in anns_home.report().document["dumps"]:
        analysis = analyze(folder / dump["file"])
        assert analysis["crash_info"]["type"] == "SIGSEGV / SEGV_MAPERR"
        frames = analysis["crashing_thread"]["frames"]
        functions = [frame["function"] for frame in frames if frame["kind"] == "python"]
        assert functions[:4] == ["string_at", "die", "run", "<module>"], dump["kind"]
        seen = read_with_breakpad(folder / dump["file"])
        assert (seen.crash, seen.address) == ("SIGSEGV /SEGV_MAPERR", 8)
        assert facts["tid"] in seen.thread_ids
        assert read_with_lldb(folder / dump["file"])["threads"]


def test_a_triage_dump_tells_nothing_of_its_user(anns_home: Home) -> None:
    die(anns_home, "triage", "mini", "full")
    dumps = dumps_of(anns_home)
    assert [secret for secret in SECRETS if dumps["triage"].holds(secret)] == []
    assert ENVIRON not in dumps["triage"].streams
    assert CMD_LINE not in dumps["triage"].streams
    # What is proven above is nothing unless the secrets were there to be found.
    found = [secret for secret in SECRETS if dumps["full"].holds(secret)]
    assert found == list(SECRETS)
    assert dumps["mini"].holds("planted-stack")
    frames = analyze(anns_home.report().dump)["crashing_thread"]["frames"]
    files = [frame["file"] for frame in frames if frame["kind"] == "python"]
    assert files[1:] == ["[scrubbed]/app.py"] * 3


def test_a_library_of_the_user_loses_its_path_in_a_triage_dump(
    anns_home: Home, faults_library: Path
) -> None:
    library = shutil.copy(faults_library, anns_home.folder / "libown.so")
    die(anns_home, "triage", load=str(library))
    seen = read_with_breakpad(anns_home.report().dump)
    assert "libown.so" in seen.modules
    dump = dumps_of(anns_home)["triage"]
    assert b"[scrubbed]/libown.so" in dump.stream(MAPS)
    assert not dump.holds(str(anns_home.folder))


def test_a_full_dump_holds_all_but_what_wants_to_stay_out(anns_home: Home) -> None:
    facts = die(anns_home, "mini", "full").facts
    dumps = dumps_of(anns_home)
    full, mini = dumps["full"], dumps["mini"]
    assert full.read(facts["private"], 15) == b"planted-private"
    assert mini.read(facts["private"], 15) is None
    assert full.read(facts["code"], 16) is not None
    assert full.read(facts["dontdump"], 16) is None
    assert "MADV_DONTDUMP" in soft_errors(anns_home)["memory_excluded"]
    assert full.flags & 2 == 2
    assert mini.flags & 2 == 0
    assert MEMORY64_LIST not in mini.streams


def test_a_miniplus_dump_leaves_out_code_and_the_largest_area_only(anns_home: Home) -> None:
    facts = die(anns_home, "miniplus", large=600 * MB).facts
    dump = dumps_of(anns_home)["miniplus"]
    assert dump.read(facts["private"], 15) == b"planted-private"
    assert dump.read(facts["large"][0], 13) is None
    assert dump.read(facts["code"], 16) is None
    assert f"{600 * MB} bytes together" in soft_errors(anns_home)["largest_area_left_out"]
    assert len(dump.data) < 300 * MB
    assert analyze(anns_home.report().dump)["crash_info"]["type"].startswith("SIGSEGV")


def test_an_area_below_the_limit_stays_in_a_miniplus_dump(anns_home: Home) -> None:
    facts = die(anns_home, "miniplus", large=100 * MB).facts
    dump = dumps_of(anns_home)["miniplus"]
    assert dump.read(facts["large"][0], 13) == b"planted-large"
    assert "largest_area_left_out" not in soft_errors(anns_home)


def test_a_custom_dump_holds_what_its_flags_say(anns_home: Home) -> None:
    facts = die(anns_home, "custom:WithCodeSegs,WithIptTrace", "custom:0x200").facts
    report = anns_home.report()
    files = [dump["file"] for dump in report.document["dumps"]]
    assert files == ["dump.dmp", "dump-custom-2.dmp"]
    code, private = (open_dump(report.folder / file) for file in files)
    assert (code.flags, private.flags) == (0x402000, 0x200)
    assert code.read(facts["code"], 16) is not None
    assert code.read(facts["private"], 15) is None
    assert private.read(facts["private"], 15) == b"planted-private"
    assert private.read(facts["code"], 16) is None
    assert "perf" in soft_errors(anns_home)["flag_without_meaning"]


def test_a_kernel_dump_tells_where_each_thread_stands(anns_home: Home) -> None:
    facts = die(anns_home, "kernel", where="thread").facts
    text = dumps_of(anns_home)["kernel"].stream(KERNEL).decode()
    told = [line for line in text.splitlines() if line.startswith("thread ")]
    assert len(told) == 5
    assert told[0].startswith(f"thread {facts['tid']} (")
    assert text.count("wchan: ") == text.count("syscall: ") == 5
    is_allowed = "[<0>]" in text
    assert is_allowed != ("kernel_stack_not_read" in soft_errors(anns_home))


def built(folder: Path, body: str) -> Path:
    """A library whose callback has that body."""
    source = folder / "callback.c"
    function = "int lastwords_dump_callback(const struct lastwords_dump *d)"
    text = f"#include <lastwords_dump_callback.h>\n#include <unistd.h>\n{function} {{ {body} }}\n"
    source.write_text(text, "utf-8")
    library = folder / "callback.so"
    flags = ["-shared", "-fPIC", "-Wall", "-Werror", f"-I{REPOSITORY / 'include'}"]
    subprocess.run(["cc", *flags, "-o", str(library), str(source)], check=True)
    return library


def test_a_library_adds_memory_and_a_stream(anns_home: Home, tmp_path: Path) -> None:
    body = """
        char head[4];
        if (d->signal != 11 || d->address != 8 || d->pid == getpid()) return 1;
        if (d->read_memory(d->context, 8, head, 4) != 14) return 2;
        return d->add_stream(d->context, 0x12340001, "of the library", 14);
    """
    die(anns_home, f"callback:{built(tmp_path, body)}")
    dump = dumps_of(anns_home)["callback"]
    assert dump.stream(0x12340001) == b"of the library"
    assert "callback_failed" not in soft_errors(anns_home)
    assert analyze(anns_home.report().dump)["crash_info"]["type"].startswith("SIGSEGV")


def test_a_library_that_crashes_or_hangs_costs_nothing_but_its_own_part(
    anns_home: Home, tmp_path: Path
) -> None:
    body = 'd->add_stream(d->context, 0x12340001, "before", 6); for (;;) pause(); return 0;'
    die(anns_home, "mini", f"callback:{built(tmp_path, body)}")
    dumps = dumps_of(anns_home)
    assert list(dumps) == ["mini", "callback"]
    assert dumps["callback"].stream(0x12340001) == b"before"
    assert "took too long" in soft_errors(anns_home)["callback_failed"]
    frames = analyze(anns_home.report().folder / "dump-callback.dmp")["crashing_thread"]["frames"]
    assert next(frame["function"] for frame in frames if frame["kind"] == "python") == "string_at"


def test_a_mini_dump_stays_small(anns_home: Home) -> None:
    die(anns_home, "mini")
    data = anns_home.report().dump.read_bytes()
    assert len(data) < 1.5 * MB
    assert len(zlib.compress(data)) < 300_000


def test_a_kind_that_does_not_exist_means_a_mini_dump(anns_home: Home) -> None:
    death = die(anns_home, "enormous")
    assert "enormous" in death.stderr
    assert list(dumps_of(anns_home)) == ["mini"]

"""Expressions, the syntax around commands, and names of commands."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lastwords.debug import COMMANDS, commands
from lastwords.debug.expression import evaluate, evaluate_prefix
from lastwords.debug.numbers import address_text
from lastwords.debug.problem import Problem
from lastwords.debug.registry import find, near
from lastwords.debug.symbol_path import SymbolPath
from lastwords.debug.syntax import split_commands, split_options
from lastwords.debug.target import short_name, without_parameters
from lastwords.errors import SymbolsError

commands.load()


class Values:
    pointer_bytes = 8

    def register(self, name: str) -> int | None:
        return {"rip": 0x7FF66107C030, "rsp": 0x1000, "eax": 5, "$peb": 0x2000}.get(name) or {
            "$t0": 7
        }.get(name)

    def symbol(self, name: str) -> int | None:
        return {
            "core!zmq::ctx_t::check_tag": 0x7FF66107C030,
            "core": 0x7FF660E60000,
            "libpython3_11!PyErr_SetString": 0x55,
            "ns::f<int>": 0x66,
        }.get(name)

    def read_number(self, address: int, size: int | None = None) -> int | None:
        return {0x1000: 0x2000, 0x2000: 0x1122334455667788}.get(address) if size else None


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("10", 0x10),
        ("0n10", 10),
        ("0x10", 0x10),
        ("0y101", 5),
        ("0t17", 15),
        ("7ff6`6107c030", 0x7FF66107C030),
        ("00007ff6`6107c030", 0x7FF66107C030),
        ("@rip", 0x7FF66107C030),
        ("rsp+8", 0x1008),
        ("@rsp + 0n16 * 2", 0x1020),
        ("(1 + 2) * 3", 9),
        ("poi(@rsp)", 0x2000),
        ("poi(poi(@rsp))", 0x1122334455667788),
        ("core!zmq::ctx_t::check_tag+0x10", 0x7FF66107C040),
        ("core", 0x7FF660E60000),
        ("libpython3_11!PyErr_SetString", 0x55),
        ("-1", 0xFFFFFFFFFFFFFFFF),
        ("ff & f0 | 1", 0xF1),
        ("1 << 4", 16),
        ("ff ^ f", 0xF0),
        ("not 0", 1),
        ("3 > 2", 1),
        ("-1 < 1", 1),
        ("hi(12345678)", 0x1234),
        ("@$t0", 7),
        ("beef", 0xBEEF),
        ("17 % 5", 3),
    ],
)
def test_expressions_are_those_of_masm(text: str, value: int) -> None:
    assert evaluate(text, Values()) == value


@pytest.mark.parametrize(
    "text", ["", "1 +", "(1", "1)", "nobody", "1/0", "poi(9999)", "@nobody", "1 2", "!", ")(" * 40]
)
def test_what_is_no_expression_is_said(text: str) -> None:
    with pytest.raises(Problem):
        evaluate(text, Values())


def test_deep_nesting_ends_orderly() -> None:
    with pytest.raises(Problem, match="nested too deep"):
        evaluate("(" * 500 + "1" + ")" * 500, Values())


@given(st.text(max_size=60))
def test_no_text_breaks_the_reader_of_expressions(text: str) -> None:
    try:
        value, rest = evaluate_prefix(text, Values())
    except Problem:
        return
    assert 0 <= value < 1 << 64
    assert rest in text


def test_the_rest_of_a_range_is_left() -> None:
    assert evaluate_prefix("@rsp L10", Values()) == (0x1000, "L10")
    assert evaluate_prefix("@rsp @rsp+10", Values()) == (0x1000, "@rsp+10")


def test_lines_are_split_at_semicolons_outside_of_quotes() -> None:
    assert split_commands(".ecxr;k;q") == [".ecxr", "k", "q"]
    assert split_commands('.echo "a;b"; k ;; ') == ['.echo "a;b"', "k"]
    assert split_commands("k;* a comment; k") == ["k"]
    assert split_commands("$$ a comment; k") == ["k"]
    assert split_commands("$><file;with;semicolons") == ["$><file;with;semicolons"]
    assert split_options("/f /i mod") == (["f", "i"], "mod")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("k", ("k", "")),
        ("k5", ("k", "5")),
        ("kbn 3", ("k", "bn 3")),
        ("kL", ("kL", "")),
        ("lmvm foo", ("lm", "vm foo")),
        ("lmDvmfoo", ("lm", "Dvmfoo")),
        ("db@rsp", ("db", "@rsp")),
        ("~*kb", ("~", "*kb")),
        ("~2s", ("~", "2s")),
        ("? 1+2", ("?", "1+2")),
        ("?1", ("?", "1")),
        (".frame /r 3", (".frame", "/r 3")),
        (".FRAME 3", (".frame", "3")),
        ("!analyze -v", ("!analyze", "-v")),
        ("dt -r2 Node 10", ("dt", "-r2 Node 10")),
        ("$><x.txt", ("$><", "x.txt")),
        (".excr", (".excr", "")),
        ("dvx", None),
        (".frames", None),
        ("nothing", None),
    ],
)
def test_the_longest_known_name_is_the_command(text: str, found: tuple[str, str] | None) -> None:
    assert find(text) == found


def test_an_unknown_name_has_neighbours() -> None:
    assert "!analyze" in near("!analize -v")
    assert ".ecxr" in near(".ecrx")


def test_every_command_has_help_and_an_example_that_is_one() -> None:
    for entry in COMMANDS.values():
        assert entry.summary
        for text in split_commands(entry.example):
            assert find(text) is not None, (entry.names, text)


def test_addresses_have_a_backtick_or_eight_digits() -> None:
    assert address_text(0x7FF66107C030, 8) == "00007ff6`6107c030"
    assert address_text(0x40_1000, 4) == "00401000"
    assert address_text(None, 8) == "--------`--------"


@pytest.mark.parametrize(
    ("path", "name"),
    [
        (r"c:\app\core_messaging-4b9cbd3c8bffceb0.exe", "core_messaging_4b9cbd3c8bffceb0"),
        (r"C:\Windows\System32\KERNELBASE.dll", "KERNELBASE"),
        ("/usr/lib/libpython3.11.so.1.0", "libpython3_11"),
        ("/usr/lib/libc.so.6", "libc"),
        ("/usr/bin/python3.11", "python3_11"),
        ("/x/_ssl.cpython-311-x86_64-linux-gnu.so", "_ssl_cpython_311_x86_64_linux_gnu"),
        ("/usr/lib/system/libsystem_kernel.dylib", "libsystem_kernel"),
        ("", "unknown"),
    ],
)
def test_module_names_are_what_people_type(path: str, name: str) -> None:
    assert short_name(path) == name


def test_parameters_are_cut_off_names() -> None:
    assert without_parameters("ns::f(int, void (*)(int)) const") == "ns::f"
    assert without_parameters("S::operator()(int)") == "S::operator()"
    assert without_parameters("main") == "main"


def test_servers_of_a_symbol_path_are_asked_when_the_user_typed_it(tmp_path: Path) -> None:
    text = f"srv*{tmp_path}/store*https://symbols.example.com/a;{tmp_path};/gone"
    path = SymbolPath(text=text)
    assert path.places.paths == (tmp_path, Path("/gone"))
    assert [server.url for server in path.places.servers] == ["https://symbols.example.com/a"]
    assert ["there is no" in note or "not asked" in note for note in path.notes()] == [True, True]
    path.change(text)
    assert path.asks_servers
    assert len(list(path.notes())) == 1
    with pytest.raises(SymbolsError, match="without TLS"):
        path.change("http://symbols.example.com")
    assert path.text == text

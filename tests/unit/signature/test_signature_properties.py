"""What must not change a signature: lines, load addresses, build paths, machines, versions."""

from __future__ import annotations

import copy

from hypothesis import given, settings
from hypothesis import strategies as st
from signature_stacks import analysis, exception, native, python

from lastwords.signature import from_analysis, from_exception, sign
from lastwords.signature.messages import parameterised
from lastwords.signature.names import function_name, module_name

FUNCTIONS = st.sampled_from(
    [
        "Grid::at(unsigned long) const",
        "void ns::solve<double>(Matrix<double>&)",
        "std::vector<int>::operator[](unsigned long)",
        "__memmove_avx_unaligned_erms",
        "abort",
        "(anonymous namespace)::kick(int)",
        "_PyEval_EvalFrameDefault",
        None,
    ]
)
MODULES = st.sampled_from(
    ["_physics.cpython-311-x86_64-linux-gnu.so", "libc.so.6", "app.exe", None]
)
QUALNAMES = st.sampled_from(["step", "Sim.run", "f.<locals>.g", "<module>"])
NATIVE = st.builds(
    lambda function, module, offset: native(function, module, offset=hex(offset)),
    FUNCTIONS,
    MODULES,
    st.integers(0, 2**24),
)
PYTHON = st.builds(python, QUALNAMES)
STACKS = st.lists(st.one_of(NATIVE, PYTHON), max_size=24)
FOLDERS = st.lists(
    st.text("abcdefghij-0123456789_", min_size=1, max_size=8), min_size=1, max_size=4
).map("/".join)


def keys_without_addresses(result):
    return [key for key in result.keys if key.kind.value != "address"]


@given(STACKS)
def test_same_input_gives_the_same_result(frames):
    document = analysis(*frames)
    first = sign(from_analysis(document))
    second = sign(from_analysis(copy.deepcopy(document)))
    assert first == second
    assert first.keys
    assert 0 < len(first.text) <= 255
    assert 0.0 <= first.quality <= 1.0


@given(STACKS, st.integers(1, 10**6), st.integers(0, 2**47))
def test_lines_and_load_addresses_change_nothing(frames, line, base):
    document = analysis(*frames)
    moved = copy.deepcopy(document)
    moved["crash_info"]["address"] = f"0x{base:016x}"
    for frame in moved["crashing_thread"]["frames"]:
        frame["line"] = line
        frame["offset"] = f"0x{base:016x}"
        for inline in frame.get("inlines", ()):
            inline["line"] = line
    assert sign(from_analysis(moved)) == sign(from_analysis(document))


@given(STACKS, FOLDERS, FOLDERS)
def test_installation_and_build_folders_change_nothing(frames, build, root):
    document = analysis(*frames)
    moved = copy.deepcopy(document)
    text_root = f"/{root}/lib/python3.12/site-packages/"
    for frame in moved["crashing_thread"]["frames"]:
        if frame["kind"] == "python":
            name = frame["file"].rpartition("site-packages/")[2]
            frame["file"] = frame["python"]["file"] = text_root + name
        else:
            frame["file"] = f"/{build}/grid.cpp"
    for module in moved["modules"]:
        if "code_file" in module:
            module["code_file"] = text_root + module["code_file"].rpartition("site-packages/")[2]
    assert sign(from_analysis(moved)) == sign(from_analysis(document))


@given(STACKS, st.integers(1, 2**20))
def test_another_build_keeps_all_keys_but_the_address(frames, shift):
    document = analysis(*frames)
    rebuilt = copy.deepcopy(document)
    for frame in rebuilt["crashing_thread"]["frames"]:
        if frame.get("function") and frame["kind"] == "native":
            frame["module_offset"] = hex(int(frame["module_offset"], 16) + shift)
    first, second = sign(from_analysis(document)), sign(from_analysis(rebuilt))
    assert keys_without_addresses(first) == keys_without_addresses(second)
    assert first.text == second.text


@given(STACKS)
def test_only_named_code_of_the_application_groups_by_signature(frames):
    result = sign(from_analysis(analysis(*frames)))
    if result.is_groupable:
        assert "!" in result.text or ":" in result.text.partition(" | ")[2]
        assert "+0x" not in result.text
        assert "(unknown" not in result.text or " | " in result.text


@given(st.integers(2, 60))
def test_depth_of_a_recursion_changes_nothing_once_it_is_one(depth):
    def result(times):
        frames = [native("walk(Node*)"), native("visit(Node*)")] * times
        return sign(from_analysis(analysis(*frames, python("load"))))

    assert result(depth + 10).text == result(200).text
    assert result(depth + 10).stack_hash == result(200).stack_hash


@given(FOLDERS, st.integers(1, 10**6))
def test_an_exception_is_the_same_on_every_machine(root, line):
    def result(folder, at):
        frames = (
            ("<module>", f"/{folder}/run.py"),
            ("go", f"/{folder}/pkg/work.py"),
        )
        document = exception("ValueError", f"row {at} is bad", *frames)
        for frame in document["frames"]:
            frame["line"] = at
        return sign(from_exception(document))

    assert result(root, line) == result("opt/app", 1)
    assert result(root, line).text == "pyexc:ValueError | pkg.work:go"


@settings(max_examples=300)
@given(st.text(max_size=200))
def test_any_text_is_a_name(text):
    assert function_name(text).isprintable()
    assert module_name(text).isprintable()
    assert function_name(text) or not text.strip()
    parameterised(text)


@given(st.text("ab<>(){}[]`':,* ~&-=|operatsn", max_size=120))
def test_any_brackets_are_a_name(text):
    assert function_name(text) or not text.strip()


@given(st.integers(0, 10**12), st.integers(0, 10**12))
def test_numbers_in_messages_do_not_count(one, other):
    assert parameterised(f"job {one} of 0x{one:x}") == parameterised(f"job {other} of 0x{other:x}")

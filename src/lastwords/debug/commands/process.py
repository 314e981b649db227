"""The process and the system: `vertarget`, `!address`, `!handle`, `!peb`, `!error` and others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lastwords.debug.commands.memory import counted_string
from lastwords.debug.error_names import NTSTATUS, WIN32, errno_name, hresult_of
from lastwords.debug.expression import evaluate
from lastwords.debug.problem import Problem, missing
from lastwords.debug.registry import command
from lastwords.debug.stream_names import stream_name
from lastwords.debug.syntax import split_options, split_word

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lastwords.debug.debugger import Debugger

__all__ = ["target_lines"]

_THEME = "Process and system"
_PROTECTIONS = {
    0x01: "PAGE_NOACCESS", 0x02: "PAGE_READONLY", 0x04: "PAGE_READWRITE", 0x08: "PAGE_WRITECOPY",
    0x10: "PAGE_EXECUTE", 0x20: "PAGE_EXECUTE_READ", 0x40: "PAGE_EXECUTE_READWRITE",
    0x80: "PAGE_EXECUTE_WRITECOPY",
}  # fmt: skip
_STATES = {0x1000: "MEM_COMMIT", 0x2000: "MEM_RESERVE", 0x10000: "MEM_FREE"}
_TYPES = {0x20000: "MEM_PRIVATE", 0x40000: "MEM_MAPPED", 0x1000000: "MEM_IMAGE"}


@command(
    "vertarget",
    usage="",
    summary="the system that the process ran on, and when",
    example="vertarget",
    theme=_THEME,
)
def target_command(debugger: Debugger, _: str, __: str) -> Iterable[str]:
    """The system."""
    yield from target_lines(debugger)


def target_lines(debugger: Debugger) -> Iterable[str]:
    """The system of the dump."""
    about = debugger.target.about
    cpu = {"amd64": "x64", "x86": "x86 compatible", "arm64": "ARM 64-bit (AArch64)"}.get(
        about["cpu"], about["cpu"]
    )
    count = about["cpu_count"]
    processors = f"MP ({count} procs)" if count and count > 1 else "UP"
    if debugger.target.is_windows:
        name = f"Windows {about['major_version']} Version {about['build_number']}"
    else:
        version = " ".join(part for part in (about["os_version"], about["os_build"]) if part)
        name = f"{about['os']} {version}".strip()
    yield f"{name} {processors} Free {cpu}"
    if about["cpu_info"]:
        yield f"Processor: {about['cpu_info']}"
    if debugger.target.is_windows and about["product_type"]:
        kind = {1: "WinNt", 2: "LanManNt", 3: "Server"}.get(about["product_type"], "unknown")
        yield f"Product: {kind}"
    yield f"Debug session time: {about['kind']['created'] or 'not known'}"
    yield "System Uptime: not available"
    yield f"Process Uptime: {_uptime(about)}"
    for label, key in (("  Kernel time", "kernel_time_s"), ("  User time", "user_time_s")):
        if about[key] is not None:
            yield f"{label}: {_span(about[key])}"


def _span(seconds: int) -> str:
    days, left = divmod(int(seconds), 86400)
    hours, left = divmod(left, 3600)
    minutes, left = divmod(left, 60)
    return f"{days} days {hours}:{minutes:02d}:{left:02d}.000"


def _uptime(about: dict[str, Any]) -> str:
    if not about["create_time"] or not about["time"] or about["time"] < about["create_time"]:
        return "not available"
    return _span(about["time"] - about["create_time"])


@command(
    "!address",
    usage="[ADDRESS | -summary]",
    summary="the memory region of an address, or all of them, or their sums",
    example="!address @rsp",
    theme=_THEME,
)
def address(debugger: Debugger, _: str, arguments: str) -> Iterable[str]:
    """Memory regions."""
    options, rest = split_options(arguments)
    if rest:
        yield from _one_region(debugger, evaluate(rest, debugger))
        return
    answer = debugger.target.session.ask("regions", address=None)
    if answer["source"] == "none":
        yield str(missing("memory_map", "below is what other lists of the dump tell"))
    regions = answer["regions"]
    if "summary" in options:
        yield from _summary(debugger, regions)
        return
    text = debugger.target.address
    yield f"{'BaseAddress':>17} {'EndAddress+1':>17} {'RegionSize':>17}  Protection / Usage"
    for region in regions:
        end = region["base"] + region["size"]
        yield (
            f"{text(region['base']):>17} {text(end):>17} {text(region['size']):>17}  "
            f"{_protection(region)} {_usage(debugger, region)}"
        ).rstrip()


def _one_region(debugger: Debugger, wanted: int) -> Iterable[str]:
    answer = debugger.target.session.ask("regions", address=wanted)
    text = debugger.target.address
    if not answer["regions"]:
        if answer["source"] == "none":
            raise missing("memory_map")
        yield f"No region holds {text(wanted)}: it is free, or the list leaves it out"
        return
    region = answer["regions"][0]
    yield ""
    yield f"Usage:                  {_usage(debugger, region) or '<unknown>'}"
    yield f"Base Address:           {text(region['base'])}"
    yield f"End Address:            {text(region['base'] + region['size'])}"
    yield f"Region Size:            {text(region['size'])}"
    if "state" in region:
        state, kind = region["state"], region["type"]
        yield f"State:                  {state:08x}          {_STATES.get(state, '')}"
        yield f"Protect:                {region['protection']:08x}          {_protection(region)}"
        yield f"Type:                   {kind:08x}          {_TYPES.get(kind, '')}"
        yield f"Allocation Base:        {text(region['allocation_base'])}"
        yield f"Allocation Protect:     {region['allocation_protection']:08x}"
    elif "permissions" in region:
        yield f"Protect:                {region['permissions']}"
        yield f"Offset:                 {region['offset']:#x}"
    if region["module"] is not None:
        module = debugger.target.modules[region["module"]]
        yield f"Image Path:             {module.path}"
        yield f"Module Name:            {module.name}"
    elif region.get("name"):
        yield f"Mapped file:            {region['name']}"
    source = "in the dump" if region["is_in_dump"] else "not in the dump (at its start)"
    yield f"Content source:         {source}"
    if answer["source"] == "none":
        yield str(missing("memory_map", "this is what other lists of the dump tell"))


def _protection(region: dict[str, Any]) -> str:
    if "permissions" in region:
        return str(region["permissions"])
    if "protection" not in region:
        return "?"
    value = region["protection"]
    name = _PROTECTIONS.get(value & 0xFF, f"{value:#x}" if value else "")
    guard = "|PAGE_GUARD" if value & 0x100 else ""
    if not name and region.get("state") in _STATES:
        return _STATES[region["state"]]
    return name + guard


def _usage(debugger: Debugger, region: dict[str, Any]) -> str:
    if region["module"] is not None:
        module = debugger.target.modules[region["module"]]
        return f'Image      [{module.name}; "{module.path}"]'
    if region["thread"] is not None:
        thread = debugger.target.threads[region["thread"]]
        pid = debugger.target.about["process_id"] or 0
        return f"Stack      [~{thread.index}; {pid:x}.{thread.id:x}]"
    name = region.get("name")
    if name == "[heap]":
        return "Heap       [heap]"
    if name:
        return f"MappedFile {name}"
    if region.get("state") == 0x10000:
        return "Free"
    return ""


def _summary(debugger: Debugger, regions: list[dict[str, Any]]) -> Iterable[str]:
    sums: dict[str, tuple[int, int]] = {}
    for region in regions:
        usage = _usage(debugger, region).split(" ")[0] or "<unknown>"
        count, size = sums.get(usage, (0, 0))
        sums[usage] = (count + 1, size + region["size"])
    total = sum(size for usage, (_count, size) in sums.items() if usage != "Free") or 1
    yield f"--- Usage Summary ---------------- RgnCount {'-' * 11} Total Size -------- %ofBusy"
    for usage, (count, size) in sorted(sums.items(), key=lambda item: -item[1][1]):
        share = "" if usage == "Free" else f"{size * 100 / total:6.2f}%"
        total_size = f"{debugger.target.address(size):>17} ({_size(size):>11})"
        yield f"{usage:<36} {count:>6} {total_size}  {share}".rstrip()


def _size(size: int) -> str:
    value = float(size)
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if value < 1024 or unit == "TB":
            return f"{value:.3f} {unit}"
        value /= 1024
    return f"{size}"


@command(
    "!handle",
    usage="[HANDLE] [f]",
    summary="open handles, on Linux the file descriptors",
    example="!handle 4 f",
    theme=_THEME,
)
def handles(debugger: Debugger, _: str, arguments: str) -> Iterable[str]:
    """Handles."""
    answer = debugger.target.session.ask("handles")
    if answer is None:
        raise missing("handles")
    word, _rest = split_word(arguments)
    wanted = evaluate(word, debugger) if word and word not in {"f", "0"} else None
    found = [one for one in answer["handles"] if wanted is None or one["handle"] == wanted]
    if wanted is not None and not found:
        raise Problem(f"There is no handle {wanted:#x}")
    for one in found:
        yield (
            f"Handle {one['handle'] or 0:016x}"
            if debugger.pointer_bytes == 8
            else f"Handle {one['handle'] or 0:08x}"
        )
        yield f"  Type         \t{one['type'] or '<unknown>'}"
        if one["attributes"] or wanted is not None:
            yield f"  Attributes   \t{one['attributes'] or 0:#x}"
            yield f"  GrantedAccess\t{one['granted_access'] or 0:#x}"
            yield f"  HandleCount  \t{one['handle_count'] or 0}"
            yield f"  PointerCount \t{one['pointer_count'] or 0}"
        yield f"  Name         \t{one['name'] or '<none>'}"
    kinds: dict[str, int] = {}
    for one in answer["handles"]:
        kinds[one["type"] or "<unknown>"] = kinds.get(one["type"] or "<unknown>", 0) + 1
    if wanted is None:
        yield f"{len(answer['handles'])} Handles"
        yield "Type           \tCount"
        for kind, count in sorted(kinds.items()):
            yield f"{kind:<15}\t{count}"
    if answer["left_out"]:
        yield f"({answer['left_out']} more handles are left out)"


def _windows_only(debugger: Debugger, what: str) -> None:
    if not debugger.target.is_windows:
        raise Problem(
            f"{what} is of Windows; this dump is of {debugger.target.about['os']}. "
            "vertarget, ~ and !address tell what there is here"
        )


@command(
    "!peb",
    usage="",
    summary="the process environment block of Windows: command line, folder, image, debugged",
    example="!peb",
    theme=_THEME,
)
def process_block(debugger: Debugger, _: str, __: str) -> Iterable[str]:
    """The PEB."""
    _windows_only(debugger, "A process environment block")
    is_64 = debugger.pointer_bytes == 8
    teb = debugger.current_thread().teb
    peb = debugger.target.read_number(teb + (0x60 if is_64 else 0x30)) if teb else None
    if peb is None:
        raise missing("teb")
    text = debugger.target.address
    yield f"PEB at {text(peb)}"
    read = debugger.target.read_number
    base = read(peb + (0x10 if is_64 else 0x08))
    if base is None and read(peb, 1) is None:
        raise missing("memory", f"the PEB at {text(peb)}")
    debugged = read(peb + 2, 1)
    answer = "Yes" if debugged else "No" if debugged is not None else "??"
    yield f"    BeingDebugged:            {answer}"
    yield f"    ImageBaseAddress:         {text(base)}"
    loader = read(peb + (0x18 if is_64 else 0x0C))
    yield f"    Ldr                       {text(loader)}"
    heap = read(peb + (0x30 if is_64 else 0x18))
    yield f"    ProcessHeap:              {text(heap)}"
    parameters = read(peb + (0x20 if is_64 else 0x10))
    yield f"    ProcessParameters:        {text(parameters)}"
    if parameters:
        yield from _parameters(debugger, parameters, is_64=is_64)


# RTL_USER_PROCESS_PARAMETERS: name, offset of 64-bit and 32-bit Windows.
_PARAMETERS = (
    ("CurrentDirectory:", 0x38, 0x24),
    ("DllPath:", 0x50, 0x30),
    ("ImageFile:", 0x60, 0x38),
    ("CommandLine:", 0x70, 0x40),
    ("WindowTitle:", 0xB0, 0x70),
)


def _parameters(debugger: Debugger, address: int, *, is_64: bool) -> Iterable[str]:
    for name, wide, narrow in _PARAMETERS:
        found = counted_string(debugger, address + (wide if is_64 else narrow), is_wide=True)
        shown = f"'{found}'" if found is not None else "?? (not in the dump)"
        yield f"    {name:<25} {shown}"
    environment = debugger.target.read_number(address + (0x80 if is_64 else 0x48))
    yield f"    Environment:              {debugger.target.address(environment)}"
    if environment:
        pieces = debugger.target.pieces(environment, 32768)
        if pieces and pieces[0][0] == environment:
            block = pieces[0][1].decode("utf-16-le", errors="replace").split("\0\0")[0]
            for line in block.split("\0"):
                yield f"        {line}"


@command(
    "!teb",
    usage="[ADDRESS]",
    summary="the thread environment block of Windows: stack limits, last error, PEB",
    example="!teb",
    theme=_THEME,
)
def thread_block(debugger: Debugger, _: str, arguments: str) -> Iterable[str]:
    """The TEB."""
    _windows_only(debugger, "A thread environment block")
    teb = evaluate(arguments, debugger) if arguments else debugger.current_thread().teb
    size, text, read = debugger.pointer_bytes, debugger.target.address, debugger.target.read_number
    if not teb or read(teb) is None:
        raise missing("teb", f"the TEB at {text(teb)}")
    is_64 = size == 8
    yield f"TEB at {text(teb)}"
    for index, name in enumerate(
        (
            "ExceptionList",
            "StackBase",
            "StackLimit",
            "SubSystemTib",
            "FiberData",
            "ArbitraryUserPointer",
            "Self",
        )
    ):
        yield f"    {name + ':':<25} {text(read(teb + index * size))}"
    client = teb + (0x40 if is_64 else 0x20)
    yield f"    {'ClientId:':<25} {text(read(client))} . {text(read(client + size))}"
    yield f"    {'Tls Storage:':<25} {text(read(teb + (0x58 if is_64 else 0x2C)))}"
    yield f"    {'PEB Address:':<25} {text(read(teb + (0x60 if is_64 else 0x30)))}"
    error = read(teb + (0x68 if is_64 else 0x34), 4)
    yield f"    {'LastErrorValue:':<25} {error if error is not None else '??'}"
    status = read(teb + (0x1250 if is_64 else 0xBF4), 4)
    yield f"    {'LastStatusValue:':<25} {f'{status:x}' if status is not None else '??'}"


@command(
    "!gle",
    usage="[-all]",
    summary="the last error of the chosen thread (Windows)",
    example="!gle",
    theme=_THEME,
)
def last_error(debugger: Debugger, _: str, arguments: str) -> Iterable[str]:
    """The thread's last error."""
    _windows_only(debugger, "A last error")
    is_all = "all" in split_options(arguments)[0]
    threads = debugger.target.threads if is_all else [debugger.current_thread()]
    for thread in threads:
        offset = 0x68 if debugger.pointer_bytes == 8 else 0x34
        code = debugger.target.read_number(thread.teb + offset, 4) if thread.teb else None
        if code is None:
            raise missing("teb")
        prefix = f"Last error for thread {thread.id:x}: " if is_all else ""
        meaning = WIN32.get(code, ("", "<unknown>"))[1]
        yield f"{prefix}LastErrorValue: (Win32) {code:#x} ({code}) - {meaning}"


@command(
    "!error",
    usage="CODE [1]",
    summary="what an error code means: Win32, NTSTATUS (or with 1), errno",
    example="!error c0000005",
    theme=_THEME,
)
def error(debugger: Debugger, _: str, arguments: str) -> Iterable[str]:
    """The meaning of an error code."""
    word, rest = split_word(arguments)
    if not word:
        raise Problem("A code is wanted: !error c0000005")
    code = evaluate(word, debugger) & 0xFFFFFFFF
    is_status = rest.strip() == "1"
    known = False
    if code in NTSTATUS and (is_status or code >= 0x10000 or code not in WIN32):
        known = True
        name, meaning = NTSTATUS[code]
        yield f"Error code: (NTSTATUS) {code:#x} ({code}) - {meaning} [{name}]"
    win32 = hresult_of(code)
    label = "HRESULT" if win32 is not None else "Win32"
    win32 = code if win32 is None else win32
    if win32 in WIN32 and not is_status:
        known = True
        yield f"Error code: ({label}) {code:#x} ({code}) - {WIN32[win32][1]} [{WIN32[win32][0]}]"
    found = errno_name(code) or errno_name((1 << 32) - code)
    if found is not None and not is_status and (not debugger.target.is_windows or not known):
        known = True
        yield f"Error code: (errno) {code:#x} ({code}) - {found[1]} [{found[0]}]"
    if not known:
        yield f"Error code: {code:#x} ({code}) - <no name is known here>"


@command(
    ".dumpdebug",
    usage="",
    summary="what the file is made of: header and streams",
    example=".dumpdebug",
    theme=_THEME,
)
def dump_debug(debugger: Debugger, _: str, __: str) -> Iterable[str]:
    """Header and streams of the file."""
    about = debugger.target.about
    yield f"----- User Mini Dump Analysis - {about['path']}"
    yield ""
    yield "MINIDUMP_HEADER:"
    yield f"Version         {about['version'] & 0xFFFF:04X} ({about['version'] >> 16:04X})"
    yield f"NumberOfStreams {about['stream_count']}"
    yield f"Flags           {about['flags']:X}"
    for name in about["kind"]["flag_names"]:
        yield f"                {name}"
    yield f"Time            {about['kind']['created'] or about['time']}"
    yield f"Size            {about['size_bytes']:#x} bytes, of the kind {about['kind']['kind']}"
    if about["kind"]["lacks"]:
        yield f"Lacks           {', '.join(about['kind']['lacks'])}"
    yield ""
    yield "Streams:"
    for index, stream in enumerate(debugger.target.session.ask("streams")):
        yield (
            f"Stream {index}: type {stream_name(stream['type'])} ({stream['type']:#x}), "
            f"size {stream['size']:08X}, RVA {stream['rva']:08X}"
        )
    for problem in about["soft_errors"]:
        yield f"*** {problem['where']}: {problem['message']}"


@command(
    ".tlist",
    "|",
    usage="",
    summary="the process of the dump",
    example="|",
    theme=_THEME,
)
def process(debugger: Debugger, _: str, __: str) -> Iterable[str]:
    """The process."""
    about = debugger.target.about
    pid = about["process_id"]
    main = debugger.target.modules[0] if debugger.target.modules else None
    name = about["linux_command"] or (main.path if main else "<unknown>")
    yield (
        f".  0    id: {pid:x}   examine   name: {name}"
        if pid is not None
        else f".  0    id: ?   examine   name: {name}"
    )

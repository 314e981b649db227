"""Names of the streams of minidumps."""

from __future__ import annotations

__all__ = ["stream_name"]

_NAMES = {
    0: "UnusedStream", 3: "ThreadListStream", 4: "ModuleListStream", 5: "MemoryListStream",
    6: "ExceptionStream", 7: "SystemInfoStream", 8: "ThreadExListStream", 9: "Memory64ListStream",
    10: "CommentStreamA", 11: "CommentStreamW", 12: "HandleDataStream", 13: "FunctionTableStream",
    14: "UnloadedModuleListStream", 15: "MiscInfoStream", 16: "MemoryInfoListStream",
    17: "ThreadInfoListStream", 18: "HandleOperationListStream", 19: "TokenStream",
    20: "JavaScriptDataStream", 21: "SystemMemoryInfoStream", 22: "ProcessVmCountersStream",
    23: "IptTraceStream", 24: "ThreadNamesStream",
    0x43500001: "CrashpadInfoStream", 0x4B6B0002: "StabilityReportStream",
    0x47670001: "BreakpadInfoStream", 0x47670002: "AssertionInfoStream",
    0x47670003: "LinuxCpuInfo", 0x47670004: "LinuxProcStatus", 0x47670005: "LinuxLsbRelease",
    0x47670006: "LinuxCmdLine", 0x47670007: "LinuxEnviron", 0x47670008: "LinuxAuxv",
    0x47670009: "LinuxMaps", 0x4767000A: "LinuxDsoDebug",
    0x4D7A0001: "MozMacosCrashInfoStream", 0x4D7A0002: "MozMacosBootargsStream",
    0x4D7A0003: "MozLinuxLimits", 0x4D7A0004: "MozSoftErrors",
}  # fmt: skip


def stream_name(stream_type: int) -> str:
    """The name of a stream's type; lastwords' own types have `LW` in their number."""
    if stream_type in _NAMES:
        return _NAMES[stream_type]
    return "lastwords" if stream_type >> 16 == 0x4C57 else "unknown"

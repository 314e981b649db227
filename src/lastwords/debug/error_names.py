"""Names of error codes: Win32, NTSTATUS, errno, signals, Mach exceptions."""

from __future__ import annotations

import errno
import os
import signal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lastwords.debug.target import Target

__all__ = ["NTSTATUS", "WIN32", "errno_name", "exception_name", "hresult_of"]

NTSTATUS: dict[int, tuple[str, str]] = {
    0x00000000: ("STATUS_SUCCESS", "The operation completed successfully."),
    0x00000102: ("STATUS_TIMEOUT", "The given timeout interval has expired."),
    0x00000103: ("STATUS_PENDING", "The operation that was requested is pending completion."),
    0x40010005: ("DBG_CONTROL_C", "A debugger got control C."),
    0x40010006: ("DBG_PRINTEXCEPTION_C", "A debugger got a print exception."),
    0x406D1388: ("MS_VC_EXCEPTION", "A thread was named for the debugger."),
    0x80000001: (
        "STATUS_GUARD_PAGE_VIOLATION",
        "A page of memory that marks the end of a data structure was accessed.",
    ),
    0x80000002: (
        "STATUS_DATATYPE_MISALIGNMENT",
        "A datatype misalignment was detected in a load or store instruction.",
    ),
    0x80000003: ("STATUS_BREAKPOINT", "A breakpoint has been reached."),
    0x80000004: ("STATUS_SINGLE_STEP", "A single step or trace operation has just been completed."),
    0xC0000001: ("STATUS_UNSUCCESSFUL", "The requested operation was unsuccessful."),
    0xC0000005: (
        "STATUS_ACCESS_VIOLATION",
        "The instruction referenced memory that could not be accessed.",
    ),
    0xC0000006: (
        "STATUS_IN_PAGE_ERROR",
        "The required data was not placed into memory because of an I/O error.",
    ),
    0xC0000008: ("STATUS_INVALID_HANDLE", "An invalid handle was specified."),
    0xC000000D: (
        "STATUS_INVALID_PARAMETER",
        "An invalid parameter was passed to a service or function.",
    ),
    0xC000000F: ("STATUS_NO_SUCH_FILE", "The file does not exist."),
    0xC0000017: (
        "STATUS_NO_MEMORY",
        "Not enough virtual memory or paging file quota is available.",
    ),
    0xC000001D: (
        "STATUS_ILLEGAL_INSTRUCTION",
        "An attempt was made to execute an illegal instruction.",
    ),
    0xC0000022: (
        "STATUS_ACCESS_DENIED",
        "A process has requested access to an object but has not been granted it.",
    ),
    0xC0000025: ("STATUS_NONCONTINUABLE_EXCEPTION", "Windows cannot continue from this exception."),
    0xC0000034: ("STATUS_OBJECT_NAME_NOT_FOUND", "The object name is not found."),
    0xC000007B: (
        "STATUS_INVALID_IMAGE_FORMAT",
        "The image is not for this system, or it contains an error.",
    ),
    0xC000008C: ("STATUS_ARRAY_BOUNDS_EXCEEDED", "Array bounds exceeded."),
    0xC000008D: ("STATUS_FLOAT_DENORMAL_OPERAND", "Floating-point denormal operand."),
    0xC000008E: ("STATUS_FLOAT_DIVIDE_BY_ZERO", "Floating-point division by zero."),
    0xC000008F: ("STATUS_FLOAT_INEXACT_RESULT", "Floating-point inexact result."),
    0xC0000090: ("STATUS_FLOAT_INVALID_OPERATION", "Floating-point invalid operation."),
    0xC0000091: ("STATUS_FLOAT_OVERFLOW", "Floating-point overflow."),
    0xC0000094: ("STATUS_INTEGER_DIVIDE_BY_ZERO", "Integer division by zero."),
    0xC0000095: ("STATUS_INTEGER_OVERFLOW", "Integer overflow."),
    0xC0000096: ("STATUS_PRIVILEGED_INSTRUCTION", "Privileged instruction."),
    0xC000009A: (
        "STATUS_INSUFFICIENT_RESOURCES",
        "Insufficient system resources exist to complete the API.",
    ),
    0xC00000BB: ("STATUS_NOT_SUPPORTED", "The request is not supported."),
    0xC00000FD: ("STATUS_STACK_OVERFLOW", "A new guard page for the stack cannot be created."),
    0xC0000135: (
        "STATUS_DLL_NOT_FOUND",
        "The code execution cannot proceed because a DLL was not found.",
    ),
    0xC0000139: (
        "STATUS_ENTRYPOINT_NOT_FOUND",
        "A procedure entry point could not be located in a DLL.",
    ),
    0xC000013A: ("STATUS_CONTROL_C_EXIT", "The application terminated as a result of a CTRL+C."),
    0xC0000142: ("STATUS_DLL_INIT_FAILED", "Initialization of a dynamic link library failed."),
    0xC0000194: ("STATUS_POSSIBLE_DEADLOCK", "A possible deadlock condition has been detected."),
    0xC0000374: ("STATUS_HEAP_CORRUPTION", "A heap has been corrupted."),
    0xC0000409: (
        "STATUS_STACK_BUFFER_OVERRUN",
        "The system detected an overrun of a stack-based buffer (or a fail-fast).",
    ),
    0xC0000417: (
        "STATUS_INVALID_CRUNTIME_PARAMETER",
        "An invalid parameter was passed to a C runtime function.",
    ),
    0xC0000420: ("STATUS_ASSERTION_FAILURE", "An assertion failure has occurred."),
    0xC06D007E: (
        "VcppException(ERROR_SEVERITY_ERROR, ERROR_MOD_NOT_FOUND)",
        "A delay-loaded module was not found.",
    ),
    0xC06D007F: (
        "VcppException(ERROR_SEVERITY_ERROR, ERROR_PROC_NOT_FOUND)",
        "A delay-loaded procedure was not found.",
    ),
    0xE06D7363: ("CPP_EH_EXCEPTION", "A C++ exception was thrown."),
    0xE0434352: ("CLR_EXCEPTION", "A .NET exception was thrown."),
}
"""Code → name and text (ntstatus.h, and codes that compilers raise)."""

WIN32: dict[int, tuple[str, str]] = {
    0: ("ERROR_SUCCESS", "The operation completed successfully."),
    1: ("ERROR_INVALID_FUNCTION", "Incorrect function."),
    2: ("ERROR_FILE_NOT_FOUND", "The system cannot find the file specified."),
    3: ("ERROR_PATH_NOT_FOUND", "The system cannot find the path specified."),
    4: ("ERROR_TOO_MANY_OPEN_FILES", "The system cannot open the file."),
    5: ("ERROR_ACCESS_DENIED", "Access is denied."),
    6: ("ERROR_INVALID_HANDLE", "The handle is invalid."),
    8: (
        "ERROR_NOT_ENOUGH_MEMORY",
        "Not enough memory resources are available to process this command.",
    ),
    13: ("ERROR_INVALID_DATA", "The data is invalid."),
    14: (
        "ERROR_OUTOFMEMORY",
        "Not enough memory resources are available to complete this operation.",
    ),
    18: ("ERROR_NO_MORE_FILES", "There are no more files."),
    21: ("ERROR_NOT_READY", "The device is not ready."),
    32: ("ERROR_SHARING_VIOLATION", "The file is being used by another process."),
    33: ("ERROR_LOCK_VIOLATION", "Another process has locked a portion of the file."),
    38: ("ERROR_HANDLE_EOF", "Reached the end of the file."),
    50: ("ERROR_NOT_SUPPORTED", "The request is not supported."),
    53: ("ERROR_BAD_NETPATH", "The network path was not found."),
    80: ("ERROR_FILE_EXISTS", "The file exists."),
    87: ("ERROR_INVALID_PARAMETER", "The parameter is incorrect."),
    109: ("ERROR_BROKEN_PIPE", "The pipe has been ended."),
    112: ("ERROR_DISK_FULL", "There is not enough space on the disk."),
    122: ("ERROR_INSUFFICIENT_BUFFER", "The data area passed to a system call is too small."),
    123: (
        "ERROR_INVALID_NAME",
        "The filename, directory name, or volume label syntax is incorrect.",
    ),
    126: ("ERROR_MOD_NOT_FOUND", "The specified module could not be found."),
    127: ("ERROR_PROC_NOT_FOUND", "The specified procedure could not be found."),
    145: ("ERROR_DIR_NOT_EMPTY", "The directory is not empty."),
    183: ("ERROR_ALREADY_EXISTS", "Cannot create a file when that file already exists."),
    187: ("ERROR_SEM_NOT_FOUND", "The specified system semaphore name was not found."),
    193: ("ERROR_BAD_EXE_FORMAT", "The file is not a valid application for this system."),
    203: (
        "ERROR_ENVVAR_NOT_FOUND",
        "The system could not find the environment option that was entered.",
    ),
    206: ("ERROR_FILENAME_EXCED_RANGE", "The filename or extension is too long."),
    234: ("ERROR_MORE_DATA", "More data is available."),
    258: ("WAIT_TIMEOUT", "The wait operation timed out."),
    259: ("ERROR_NO_MORE_ITEMS", "No more data is available."),
    267: ("ERROR_DIRECTORY", "The directory name is invalid."),
    487: ("ERROR_INVALID_ADDRESS", "Attempt to access invalid address."),
    534: ("ERROR_ARITHMETIC_OVERFLOW", "Arithmetic result exceeded 32 bits."),
    995: ("ERROR_OPERATION_ABORTED", "The I/O operation has been aborted."),
    996: ("ERROR_IO_INCOMPLETE", "Overlapped I/O event is not in a signaled state."),
    997: ("ERROR_IO_PENDING", "Overlapped I/O operation is in progress."),
    998: ("ERROR_NOACCESS", "Invalid access to memory location."),
    1001: ("ERROR_STACK_OVERFLOW", "Recursion too deep; the stack overflowed."),
    1067: ("ERROR_PROCESS_ABORTED", "The process terminated unexpectedly."),
    1114: ("ERROR_DLL_INIT_FAILED", "A dynamic link library (DLL) initialization routine failed."),
    1168: ("ERROR_NOT_FOUND", "Element not found."),
    1223: ("ERROR_CANCELLED", "The operation was canceled by the user."),
    1400: ("ERROR_INVALID_WINDOW_HANDLE", "Invalid window handle."),
    1450: (
        "ERROR_NO_SYSTEM_RESOURCES",
        "Insufficient system resources exist to complete the requested service.",
    ),
    1455: (
        "ERROR_COMMITMENT_LIMIT",
        "The paging file is too small for this operation to complete.",
    ),
    1460: ("ERROR_TIMEOUT", "This operation returned because the timeout period expired."),
    10054: ("WSAECONNRESET", "An existing connection was forcibly closed by the remote host."),
    10060: ("WSAETIMEDOUT", "A connection attempt failed because the host did not respond."),
    10061: ("WSAECONNREFUSED", "The target machine actively refused the connection."),
}
"""Code → name and text (winerror.h)."""

_MACH = {
    1: "EXC_BAD_ACCESS",
    2: "EXC_BAD_INSTRUCTION",
    3: "EXC_ARITHMETIC",
    4: "EXC_EMULATION",
    5: "EXC_SOFTWARE",
    6: "EXC_BREAKPOINT",
    10: "EXC_CRASH",
    11: "EXC_RESOURCE",
    12: "EXC_GUARD",
}


def errno_name(code: int) -> tuple[str, str] | None:
    """Name and text of an errno of Linux."""
    name = errno.errorcode.get(code)
    return None if name is None else (name, os.strerror(code))


def hresult_of(code: int) -> int | None:
    """The Win32 code within an HRESULT of facility 7."""
    return code & 0xFFFF if code & 0xFFFF0000 == 0x80070000 else None


def exception_name(target: Target, code: int) -> str | None:
    """What an exception code means on the dump's system; `None` when it has no name."""
    system = str(target.about["os"]).lower()
    if system == "windows":
        return _windows_name(code)
    if system in {"linux", "android"}:
        try:
            return signal.Signals(code).name
        except ValueError:
            return None
    return _MACH.get(code)


def _windows_name(code: int) -> str | None:
    words = {
        0xC0000005: "Access violation",
        0x80000003: "Break instruction exception",
        0xC00000FD: "Stack overflow",
        0xC0000094: "Integer divide-by-zero",
        0xE06D7363: "C++ EH exception",
        0xC000001D: "Illegal instruction",
        0xC0000409: "Security check failure or stack buffer overrun",
        0xC0000374: "Heap corruption",
    }
    if code in words:
        return words[code]
    return NTSTATUS[code][0] if code in NTSTATUS else None

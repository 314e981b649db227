"""Where the symbols of a module can be had: something to type."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from lastwords.symbols.places import Protocol
from lastwords.symbols.requests import requests_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lastwords.symbols.wanted import WantedModule

__all__ = ["hints_for"]

_MICROSOFT = "https://msdl.microsoft.com/download/symbols"
_MOZILLA = "https://symbols.mozilla.org"
_DEBUGINFOD = "https://debuginfod.elfutils.org"
_DEBIAN = "https://debuginfod.debian.net"
_SYSTEM_FOLDERS = ("/usr/", "/lib/", "/lib64/")
_WINDOWS_FOLDER = re.compile(r"^[A-Za-z]:\\Windows\\", re.IGNORECASE)
_WHEEL = re.compile(r"/(?:site|dist)-packages/(?P<name>[^/]+?)(?:\.libs)?/")
_DPKG_SECONDS = 10.0


def hints_for(module: WantedModule) -> tuple[str, ...]:
    """What would help, the surest first."""
    return tuple(_hints(module))


def _hints(module: WantedModule) -> Iterator[str]:
    if module.status == "mismatched" and module.path:
        yield f"{module.path} has another id: it is of another build"
    if module.status == "malformed" and module.path:
        yield f"{module.path} is damaged"
    if module.is_windows:
        yield from _windows(module)
    elif module.build_id:
        yield from _elf(module, module.build_id)
    elif module.is_apple:
        name = module.code_name or "the module"
        yield f"the dSYM of {name}, UUID {module.code_id}: --symbols FOLDER-WITH-{name}.dSYM"
    if not module.is_windows and not module.build_id and not module.is_apple:
        yield "it has no build id; link with -Wl,--build-id, and keep the file"


def _windows(module: WantedModule) -> Iterator[str]:
    requests = requests_for(module, Protocol.MICROSOFT, wants_code=True)
    paths = [one.path for one in requests if not one.is_pointer and not one.path.endswith("_")]
    is_system = bool(_WINDOWS_FOLDER.match(module.code_file))
    if is_system or not module.code_file:
        for path in paths:
            yield f"{_MICROSOFT}/{path}"
        yield f"--symbols 'srv*{_MICROSOFT}'"
    else:
        yield f"{module.debug_name} of the same build: --symbols FOLDER"
        for path in paths:
            yield f"on a symbol server: {path}"


def _elf(module: WantedModule, build_id: str) -> Iterator[str]:
    path = module.code_file
    wheel = _WHEEL.search(path)
    if wheel:
        yield (
            f"it came with the wheel {wheel['name']}: its maker's debug files, or a build of your"
            f" own with -g, of build id {build_id}"
        )
    if path.startswith(_SYSTEM_FOLDERS) and not wheel:
        yield from _debian(path)
        yield f"--symbols {_DEBUGINFOD}  (or {_DEBIAN})"
    if "firefox" in path or "thunderbird" in path:
        yield f"--symbols {_MOZILLA}"
    yield f"debuginfod: /buildid/{build_id}/debuginfo"
    yield f"a folder with .build-id/{build_id[:2]}/{build_id[2:]}.debug: --symbols FOLDER"


def _debian(path: str) -> Iterator[str]:
    """The package of debug symbols, where this machine's package manager knows the file."""
    if shutil.which("dpkg") is None:
        return
    for name in dict.fromkeys((path, path.removeprefix("/usr"), str(Path(path).resolve()))):
        asked = ["dpkg", "--search", name]
        try:
            answer = subprocess.run(
                asked, capture_output=True, text=True, timeout=_DPKG_SECONDS, check=False
            )
        except (OSError, subprocess.TimeoutExpired):
            return
        package = answer.stdout.partition(": ")[0].split(",")[0].split(":")[0].strip()
        if answer.returncode == 0 and re.fullmatch(r"[a-z0-9][a-z0-9+.-]*", package):
            yield f"apt-get install {package}-dbgsym  (debian-debug archive)"
            return

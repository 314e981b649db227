"""What a server is asked for a module's files, and where the answer is kept.

| protocol | path below the address | what |
|---|---|---|
| Microsoft | `app.pdb/GUIDAGE/app.pdb`, `…/app.pd_` (cabinet), `…/file.ptr` (a pointer) | PDB |
| | `app.exe/STAMPsize/app.exe`, `…/app.ex_`, `…/file.ptr` | image |
| SSQP | `_.debug/elf-buildid-sym-HEX/_.debug`, `lib.so/elf-buildid-HEX/lib.so` | ELF |
| debuginfod | `buildid/HEX/debuginfo`, `buildid/HEX/executable` | ELF |
| Breakpad, Tecken | `app.pdb/ID/app.sym` | `.sym` |
| a `.build-id` tree | `.build-id/xx/yyyy.debug` | ELF |

Sources: Microsoft, "SymStore", "SSQP key conventions"; elfutils, debuginfod(8); Breakpad,
`docs/symbol_files.md`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING
from urllib.parse import quote

from lastwords.symbols.places import Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lastwords.symbols.wanted import WantedModule

__all__ = ["Request", "requests_for"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One file that a server may have.

    Attributes:
        path: Below the server's address, quoted.
        kept_as: Below the cache folder.
        role: `debug` (functions and lines) or `code` (the module's own file, for unwinding).
        is_pointer: Whether the answer is a `file.ptr`: text that says where the file is.
    """

    path: str
    kept_as: PurePosixPath
    role: str
    is_pointer: bool = False


def requests_for(
    module: WantedModule, protocol: Protocol, *, wants_code: bool
) -> Iterator[Request]:
    """The files to ask for, best first; of each role one is enough."""
    if module.build_id:
        yield from _elf(module, module.build_id, protocol, wants_code=wants_code)
    if protocol is not Protocol.DEBUGINFOD and (module.is_windows or not module.code_id):
        yield from _windows(module, wants_code=wants_code)
    if protocol is Protocol.ANY:
        yield from _breakpad(module)


def _elf(
    module: WantedModule, build_id: str, protocol: Protocol, *, wants_code: bool
) -> Iterator[Request]:
    debug = PurePosixPath(".build-id", build_id[:2], f"{build_id[2:]}.debug")
    name = module.code_name or "executable"
    code = PurePosixPath(name, f"elf-buildid-{build_id}", name)
    if protocol is not Protocol.MICROSOFT:
        yield Request(path=f"buildid/{build_id}/debuginfo", kept_as=debug, role="debug")
    if protocol is not Protocol.DEBUGINFOD:
        key = f"_.debug/elf-buildid-sym-{build_id}/_.debug"
        yield Request(path=key, kept_as=debug, role="debug")
    if protocol is Protocol.ANY:
        yield Request(path=str(debug), kept_as=debug, role="debug")
    if not wants_code:
        return
    if protocol is not Protocol.MICROSOFT:
        yield Request(path=f"buildid/{build_id}/executable", kept_as=code, role="code")
    if protocol is not Protocol.DEBUGINFOD:
        yield Request(path=quote(str(code).lower()), kept_as=code, role="code")


def _windows(module: WantedModule, *, wants_code: bool) -> Iterator[Request]:
    if module.debug_name and module.debug_id:
        yield from _stored(module.debug_name, module.debug_id, "debug")
    if wants_code and module.code_name and module.code_id:
        yield from _stored(module.code_name, module.code_id, "code")


def _stored(name: str, key: str, role: str) -> Iterator[Request]:
    folder = PurePosixPath(name, key)
    for file in (name, f"{name[:-1]}_"):
        yield Request(path=quote(str(folder / file)), kept_as=folder / file, role=role)
    yield Request(
        path=quote(str(folder / "file.ptr")), kept_as=folder / name, role=role, is_pointer=True
    )


def _breakpad(module: WantedModule) -> Iterator[Request]:
    name, debug_id = module.debug_name, module.debug_id
    if name and debug_id:
        stem = name[:-4] if name.lower().endswith(".pdb") else name
        kept_as = PurePosixPath(name, debug_id, f"{stem}.sym")
        yield Request(path=quote(str(kept_as)), kept_as=kept_as, role="debug")

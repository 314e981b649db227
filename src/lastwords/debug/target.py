"""The dump as the commands see it: threads, modules, frames, memory, symbols.

Answers of the core become the dataclasses below; what is asked often is kept.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from lastwords.debug.numbers import address_text

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from lastwords.analyze import DumpSession

__all__ = ["Frame", "Module", "Target", "Thread", "leaf", "short_name", "without_parameters"]

_EXTENSIONS = (".exe", ".dll", ".pyd", ".sys", ".drv", ".ocx", ".cpl", ".scr", ".com", ".dylib")


@dataclass(frozen=True, slots=True, kw_only=True)
class Module:
    """A module of the process, with the name that commands know it by."""

    index: int
    name: str
    base: int
    size: int
    path: str
    facts: dict[str, Any]

    @property
    def end(self) -> int:
        """The first address behind it."""
        return self.base + self.size

    @property
    def file_name(self) -> str:
        """The last part of the path."""
        return leaf(self.path)


@dataclass(frozen=True, slots=True, kw_only=True)
class Thread:
    """A thread of the process."""

    index: int
    id: int
    name: str | None
    teb: int
    facts: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """One line of a stack: a native frame, a function inlined in one, or a Python frame.

    Attributes:
        number: Its number in the stack.
        kind: `native`, `inline` or `python`.
        native: Index of the native frame that it is in; `None` for Python frames without one.
        depth: Of inline frames: 0 = the innermost function of the native frame.
        ip: Where it goes on; of the newest frame, where it stands.
        instruction: An address within the instruction that runs.
        sp: Its stack pointer.
        cfa: Where it ends: the caller's stack pointer; `None` when not known.
        return_address: `ip` of the caller.
    """

    number: int
    kind: str
    native: int | None
    depth: int
    ip: int
    instruction: int
    sp: int
    cfa: int | None
    return_address: int
    module: Module | None
    function: str | None
    offset: int | None
    file: str | None
    line: int | None
    trust: str
    registers: dict[str, int] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)


def leaf(path: str) -> str:
    """The last part of a path of any system."""
    return re.split(r"[\\/]", path)[-1]


def short_name(path: str) -> str:
    """The name by which commands know a module: `python311`, `libc`, `_ssl_cpython_311`."""
    name = leaf(path)
    lower = name.lower()
    for extension in _EXTENSIONS:
        if lower.endswith(extension):
            name = name[: -len(extension)]
            break
    else:
        found = re.search(r"\.so(\.|$)", name)
        if found and found.start() > 0:
            name = name[: found.start()]
    return re.sub(r"[^A-Za-z0-9_]", "_", name) or "unknown"


def without_parameters(name: str) -> str:
    """`ns::f(int) const` → `ns::f`."""
    trimmed = name.strip().removesuffix(" const")
    if not trimmed.endswith(")"):
        return name
    depth = 0
    for at in range(len(trimmed) - 1, -1, -1):
        if trimmed[at] == ")":
            depth += 1
        elif trimmed[at] == "(":
            depth -= 1
            if depth == 0:
                head = trimmed[:at]
                is_name = bool(head) and not head.endswith(("::", "operator"))
                return head if is_name else name
    return name


class Target:
    """The dump that is debugged.

    Args:
        session: The open dump.
    """

    def __init__(self, session: DumpSession) -> None:
        self.session = session
        self.about: dict[str, Any] = session.ask("about")
        self.pointer_bytes: int = self.about["pointer_bytes"]
        self.threads = tuple(
            Thread(index=index, id=one["id"], name=one["name"], teb=one["teb"], facts=one)
            for index, one in enumerate(session.ask("threads"))
        )
        self.exception: dict[str, Any] | None = session.ask("exception")
        self.modules: tuple[Module, ...] = ()
        self.unloaded: list[dict[str, Any]] = []
        self._take_modules(session.ask("modules"))
        self._stacks: dict[tuple[int, bool], tuple[list[Frame], dict[str, Any]]] = {}

    # Modules

    def _take_modules(self, answer: dict[str, Any]) -> None:
        names: dict[str, int] = {}
        modules = []
        for index, one in enumerate(answer["modules"]):
            name = short_name(one["path"])
            if name.lower() in names:
                name = f"{name}_{one['base']:x}"
            names[name.lower()] = index
            modules.append(
                Module(
                    index=index,
                    name=name,
                    base=one["base"],
                    size=one["size"],
                    path=one["path"],
                    facts=one,
                )
            )
        self.modules = tuple(modules)
        self.unloaded = answer["unloaded"]

    def refresh_modules(self) -> None:
        """Ask again what became of symbols."""
        self._take_modules(self.session.ask("modules"))

    def load(self, indices: Sequence[int] | None) -> None:
        """Open symbols now; of all modules for `None`."""
        self._take_modules(self.session.ask("load", modules=indices))

    def reopen(self, symbols: Sequence[Path], *, local_modules: bool) -> None:
        """Look for symbols elsewhere; what was opened is closed."""
        self.session.ask("reopen", symbols=[str(p) for p in symbols], local_modules=local_modules)
        self._stacks.clear()
        self.about = self.session.ask("about")
        self.refresh_modules()

    def module_at(self, address: int) -> Module | None:
        """The module that holds an address."""
        for module in self.modules:
            if module.base <= address < module.end:
                return module
        return None

    def module_named(self, name: str) -> Module | None:
        """By name: the short one, the file's, or the file's with `_` for odd characters."""
        wanted = name.lower()
        for module in self.modules:
            if module.name.lower() == wanted:
                return module
        for module in self.modules:
            file = module.file_name.lower()
            if wanted in {file, re.sub(r"[^a-z0-9_]", "_", file), file.split(".")[0]}:
                return module
        return None

    # Memory

    def pieces(self, address: int, size: int) -> list[tuple[int, bytes]]:
        """What is known of a range, as address and bytes."""
        if size <= 0 or address < 0 or address >= 1 << 64:
            return []
        size = min(size, (1 << 64) - 1 - address)
        answer = self.session.ask("memory", address=address, size=size)
        return [(at, bytes.fromhex(digits)) for at, digits, _ in answer["pieces"]]

    def read(self, address: int, size: int) -> bytes | None:
        """Exactly so many bytes, or `None`."""
        pieces = self.pieces(address, size)
        data = bytearray()
        for at, piece in pieces:
            if at != address + len(data):
                return None
            data += piece
        return bytes(data[:size]) if len(data) >= size else None

    def read_number(self, address: int, size: int | None = None) -> int | None:
        """A number without sign, of a pointer's size unless told otherwise."""
        data = self.read(address, size or self.pointer_bytes)
        return None if data is None else int.from_bytes(data, "little")

    # Stacks

    def stack(self, thread: int, *, own_context: bool) -> list[Frame]:
        """A thread's frames, newest first, inline and Python ones among them."""
        return self._walk(thread, own_context=own_context)[0]

    def stack_notes(self, thread: int, *, own_context: bool) -> dict[str, Any]:
        """What the core says of the walk: frames left out, soft errors."""
        return self._walk(thread, own_context=own_context)[1]

    def _walk(self, thread: int, *, own_context: bool) -> tuple[list[Frame], dict[str, Any]]:
        key = (thread, own_context)
        if key not in self._stacks:
            answer = self.session.ask("stack", thread=thread, own_context=own_context)
            self._stacks[key] = (self._expand(answer["frames"]), answer)
            self.refresh_modules()
        return self._stacks[key]

    def _expand(self, raw: list[dict[str, Any]]) -> list[Frame]:
        rows: list[tuple[str, dict[str, Any], dict[str, Any] | None]] = []
        for one in raw:
            if one["kind"] == "python":
                rows.append(("python", one, one.get("evaluation")))
                if one.get("evaluation") is not None:
                    rows.append(("evaluation", one["evaluation"], None))
            else:
                rows.append(("native", one, None))
        rows = _evaluation_after_its_python_frames(rows)
        natives = [one for kind, one, _ in rows if kind in {"native", "evaluation"}]
        frames: list[Frame] = []
        position = 0
        for kind, one, _ in rows:
            if kind == "python":
                frames.append(self._python_frame(len(frames), one, natives, position))
                continue
            caller = natives[position + 1] if position + 1 < len(natives) else None
            position += 1
            self._add_native(frames, one, caller)
        return frames

    def _python_frame(
        self, number: int, one: dict[str, Any], natives: list[dict[str, Any]], position: int
    ) -> Frame:
        native = natives[position] if position < len(natives) else None
        return Frame(
            number=number,
            kind="python",
            native=native["index"] if native else None,
            depth=0,
            ip=native["ip"] if native else 0,
            instruction=native["instruction"] if native else 0,
            sp=one.get("anchor") or (native["sp"] if native else 0),
            cfa=None,
            return_address=0,
            module=None,
            function=one["function"],
            offset=None,
            file=one["file"],
            line=one["line"],
            trust="python",
            registers=native["registers"] if native else {},
            facts=one,
        )

    def _add_native(
        self, frames: list[Frame], one: dict[str, Any], caller: dict[str, Any] | None
    ) -> None:
        module = self.modules[one["module"]] if one["module"] is not None else None
        starts: list[int] = []
        if one["inlines"]:
            place = self.session.ask("at", address=one["instruction"])
            starts = place["inline_starts"] if place else []
        common = {
            "native": one["index"],
            "ip": one["ip"],
            "instruction": one["instruction"],
            "sp": one["sp"],
            "cfa": caller["sp"] if caller else None,
            "return_address": caller["ip"] if caller else 0,
            "module": module,
            "trust": one["trust"],
            "registers": one["registers"],
            "facts": one,
        }
        for depth, inline in enumerate(one["inlines"]):
            offset = one["ip"] - starts[depth] if depth < len(starts) else None
            frames.append(
                Frame(
                    number=len(frames),
                    kind="inline",
                    depth=depth,
                    function=inline["function"] or None,
                    offset=offset if offset is not None and offset >= 0 else None,
                    file=inline["file"],
                    line=inline["line"],
                    **common,
                )
            )
        base = one["function_base"]
        frames.append(
            Frame(
                number=len(frames),
                kind="native",
                depth=len(one["inlines"]),
                function=one["function"],
                offset=one["ip"] - base if base is not None else None,
                file=one["file"],
                line=one["line"],
                **common,
            )
        )

    # Symbols

    def symbol_text(self, address: int) -> str | None:
        """`mod!function+0x12`, `mod+0x12`; `None` outside of modules."""
        module = self.module_at(address)
        if module is None:
            return None
        place = self.session.ask("at", address=address)
        name, base = self._best(place)
        if name is None or base is None:
            offset = address - module.base
            return f"{module.name}+{offset:#x}" if offset else module.name
        offset = address - base
        return f"{module.name}!{name}" + (f"+{offset:#x}" if offset else "")

    @staticmethod
    def _best(place: dict[str, Any] | None) -> tuple[str | None, int | None]:
        """Of the function that runs there and the nearest symbol, the nearer one."""
        if not place:
            return None, None
        frames, base, before = place["frames"], place["function_base"], place["before"]
        name = frames[-1]["function"] if frames else None
        if name is not None and base is not None:
            is_nearer = before is not None and before["address"] > base
            if not is_nearer:
                return without_parameters(name), base
        if before is not None and _reaches(before, place):
            return without_parameters(before["name"]), before["address"]
        return None, None

    def address(self, value: int | None) -> str:
        """An address as cdb writes it."""
        return address_text(value, self.pointer_bytes)

    @property
    def is_windows(self) -> bool:
        """Whether the dump is of a Windows process."""
        return str(self.about["os"]).lower() == "windows"


def _reaches(name: dict[str, Any], place: dict[str, Any]) -> bool:
    """Whether a symbol may still be what is at the address: no other module lies between."""
    return bool(name) and place["module"] is not None


def _evaluation_after_its_python_frames(
    rows: list[tuple[str, dict[str, Any], dict[str, Any] | None]],
) -> list[tuple[str, dict[str, Any], dict[str, Any] | None]]:
    """One evaluation frame runs several Python frames: it stands below the oldest of them."""
    ordered: list[tuple[str, dict[str, Any], dict[str, Any] | None]] = []
    waiting: tuple[str, dict[str, Any], dict[str, Any] | None] | None = None
    for row in rows:
        kind, _, evaluation = row
        if kind == "evaluation":
            waiting = row
            continue
        is_same = waiting is not None and evaluation == waiting[1]
        is_next_activation = kind == "native" or (evaluation is not None and not is_same)
        if waiting is not None and is_next_activation:
            ordered.append(waiting)
            waiting = None
        ordered.append(row)
    if waiting is not None:
        ordered.append(waiting)
    return ordered

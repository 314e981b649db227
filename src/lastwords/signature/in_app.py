"""Which frames are in-app: the application's own code, as far as anybody can tell.

The rule, in the words of docs/guides/analyze.md. A frame is in-app unless

- its module is one of the system's (`lists/system.txt`) or lies in a folder of the system's
  libraries, or its code lies in no module;
- it belongs to Python's interpreter or standard library, or is glue between Python and native
  code;
- it belongs to a compiler's runtime library (`std::`, headers of the toolchain), or is a function
  by which programs die (`abort`, `__cxa_throw`, a signal's delivery).

Patterns of the user beat the rule: with some of `only`, the frames that match one are in-app and
nothing else is; what matches one of `never` is not.
"""

from __future__ import annotations

import re
from fnmatch import translate
from typing import TYPE_CHECKING

from lastwords.report.analysis import FrameKind
from lastwords.signature.lists import load_one
from lastwords.signature.names import function_name, module_name
from lastwords.signature.python_names import is_stdlib

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from lastwords.report.analysis import Frame, InlineFrame, Module

__all__ = ["InApp"]

_SYSTEM_FOLDER = re.compile(
    r"^(?:/usr)?/lib(?:x?32|64)?/(?:[\w-]+-linux-[\w]+/)?[^/]+$|^/(?:system|apex|vendor)/"
    r"|^/System/Library/|^/Library/Apple/|^/usr/lib/(?:system|swift)/|^[a-z]:/windows/",
    re.IGNORECASE,
)
_TOOLCHAIN_FILE = re.compile(
    r"^/usr/include/|^/usr/lib/gcc|/include/c\+\+/|^/rustc/|/rustlib/src/|/vc/tools/msvc/"
    r"|/crt/src/|/vctools/crt/|/windows kits/|\.sdk/usr/include/|^/build/glibc|/sysdeps/",
    re.IGNORECASE,
)
_TOOLCHAIN_FUNCTION = re.compile(r"^(?:std|__gnu_cxx|__cxxabiv1|core|alloc)::")
# Says nothing to a signature (it is in `irrelevant.txt`), and is somebody's own code all the same.
_MAIN = frozenset(("main", "wmain", "WinMain", "wWinMain"))
_OWN_FOLDER = re.compile(r"/lastwords/(?:sdk|_native)")


class InApp:
    """Tells of the frames of one analysis whether they are in-app.

    Args:
        modules: Of the analysis.
        only: Patterns; with some, what matches none is not in-app.
        never: Patterns of what is not.

    A pattern (`*`, `?`; case does not count) is compared with the module's file name and path, the
    source file's path, each name in the two paths, and the function.
    """

    def __init__(
        self,
        modules: Iterable[Module] = (),
        *,
        only: Sequence[str] = (),
        never: Sequence[str] = (),
    ) -> None:
        self._paths = {one.filename: one.code_file for one in modules if one.filename}
        self._only = _compiled(only)
        self._never = _compiled(never)
        self._known: dict[tuple[str | None, ...], bool] = {}

    def frame(self, frame: Frame) -> bool:
        """Whether a frame is in-app; of one with inline calls, its own function."""
        if frame.plumbing and self._only is None:
            return False
        is_python = frame.kind is FrameKind.PYTHON
        return self._ask("py" if is_python else "", frame.module, frame.file, frame.function)

    def inline(self, frame: Frame, inline: InlineFrame) -> bool:
        """Whether a call that was inlined in a frame is in-app."""
        return self._ask("", frame.module, inline.file or frame.file, inline.function)

    def any_of(self, frame: Frame) -> bool:
        """Whether a frame or a call inlined in it is in-app."""
        return self.frame(frame) or any(self.inline(frame, one) for one in frame.inlines or ())

    def _ask(self, kind: str, *facts: str | None) -> bool:
        key = (kind, *facts)
        if key not in self._known:
            self._known[key] = self._decide(kind, *facts)
        return self._known[key]

    def _decide(
        self, kind: str, module: str | None, file: str | None, function: str | None
    ) -> bool:
        path = self._paths.get(module or "") or module
        texts = _texts(module, path, file, function)
        if self._never and any(self._never.match(text) for text in texts):
            return False
        if self._only:
            return any(self._only.match(text) for text in texts)
        if kind == "py":
            return _is_python_in_app(file)
        return _is_native_in_app(path, file, function)


def _compiled(patterns: Sequence[str]) -> re.Pattern[str] | None:
    if not patterns:
        return None
    forms = (translate(pattern.replace("\\", "/").lower()) for pattern in patterns)
    return re.compile("|".join(forms))


def _texts(*facts: str | None) -> set[str]:
    """What patterns are compared with."""
    whole = [fact.replace("\\", "/").lower() for fact in facts if fact]
    *paths, _function = [*whole, ""]
    return {*whole, *(part for path in paths for part in path.split("/") if part)}


def _is_python_in_app(file: str | None) -> bool:
    if not file or is_stdlib(file):
        return False
    return _OWN_FOLDER.search(file.replace("\\", "/")) is None


def _is_native_in_app(path: str | None, file: str | None, function: str | None) -> bool:
    if path is None:
        return False
    place = path.replace("\\", "/")
    if _SYSTEM_FOLDER.search(place) or "/lib-dynload/" in place or _OWN_FOLDER.search(place):
        return False
    module = module_name(path)
    if load_one("system").find(module) is not None:
        return False
    if file and _TOOLCHAIN_FILE.search(file.replace("\\", "/")):
        return False
    if function is None:
        return True
    return _is_function_in_app(function_name(function), module, has_source=file is not None)


def _is_function_in_app(name: str, module: str, *, has_source: bool) -> bool:
    if name in _MAIN:
        return True
    if _TOOLCHAIN_FUNCTION.match(name):
        return False
    # An application may have a `start` of its own: where its source is known, it is no loader's.
    lists = ("plumbing", "sentinel") if has_source else ("plumbing", "sentinel", "irrelevant")
    return all(load_one(one).find(name, module) is None for one in lists)

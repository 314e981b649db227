"""Crash reports for Python applications and the native code inside them.

`install()` is all that an application needs; `annotate()` adds metadata to its reports,
`breadcrumb()` what happened before; `dump()` writes one without a crash; `on_dump()` adds memory
and streams to dumps.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from lastwords.errors import LastwordsWarning
    from lastwords.sdk import (
        DumpExtra,
        Installation,
        annotate,
        breadcrumb,
        dump,
        install,
        on_dump,
        refresh_on_dump,
        uninstall,
    )
else:

    def __getattr__(name: str) -> object:
        """Import what applications call when it is first named: the command line needs none."""
        if name not in __all__ and name not in {"errors", "sdk"}:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        import lastwords.errors  # noqa: PLC0415  (that is the point)
        import lastwords.sdk  # noqa: PLC0415

        if name in __all__:
            room = lastwords.errors if name == "LastwordsWarning" else lastwords.sdk
            globals()[name] = getattr(room, name)
        return globals()[name]


__all__ = [
    "DumpExtra",
    "Installation",
    "LastwordsWarning",
    "annotate",
    "breadcrumb",
    "dump",
    "install",
    "on_dump",
    "refresh_on_dump",
    "uninstall",
]

__version__ = "0.1.0"

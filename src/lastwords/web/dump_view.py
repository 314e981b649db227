"""What an analysis says of the dump beside its stacks, as a page shows it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lastwords.report.breadcrumbs import breadcrumb_words
from lastwords.web.json_view import mapping, mappings, name, number, text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["breadcrumbs", "dump_facts", "handles"]

_MAX_HANDLES = 500
_MAX_BREADCRUMBS = 200
_MAX_COMMENTS = 8


def dump_facts(analysis: Mapping[str, object]) -> Iterator[tuple[str, str | None]]:
    """Yield label and value: what the dump is, what it lacks, what somebody wrote into it."""
    dump = mapping(mapping(analysis.get("lastwords")).get("dump"))
    kind = text(dump.get("kind"))
    if kind:
        yield "Dump", f"{kind}, cut: memory was left out" if dump.get("is_cut") is True else kind
    lacks = dump.get("lacks")
    known = lacks if isinstance(lacks, list) else []
    words = [word.replace("_", " ") for word in known if isinstance(word, str)]
    yield "Not in the dump", text(", ".join(words))
    comments = dump.get("comments")
    for comment in comments[:_MAX_COMMENTS] if isinstance(comments, list) else []:
        yield "Comment", text(comment)


def handles(analysis: Mapping[str, object]) -> tuple[tuple[str, str, str], ...] | None:
    """Return number, type and name of open files; `None` when the dump holds none of them."""
    if not isinstance(analysis.get("handles"), list):
        return None
    return tuple(
        (
            "?" if number(one.get("handle")) is None else str(one["handle"]),
            name(one.get("type_name")) or "",
            name(one.get("object_name")) or "",
        )
        for one in mappings(analysis.get("handles"))[:_MAX_HANDLES]
    )


def breadcrumbs(analysis: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    """Yield time and text of the newest breadcrumbs, the newest last."""
    found = mapping(analysis.get("lastwords")).get("breadcrumbs")
    for entry in found[-_MAX_BREADCRUMBS:] if isinstance(found, list) else []:
        time, words = breadcrumb_words(entry)
        yield time, text(words) or ""

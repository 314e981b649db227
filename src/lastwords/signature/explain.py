"""Why a report is grouped as it is: a signature's notes, for terminals and pages."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lastwords.signature.result import SignatureResult

__all__ = ["STEPS", "as_document", "as_lines"]

STEPS: dict[str, str] = {
    "role": "what each frame is",
    "recurse": "repeated frames",
    "cut": "machinery of dying",
    "walk": "what the signature names",
    "decorate": "limits",
    "keys": "what groups it",
}
"""Step → heading, in the order in which they ran."""


def as_document(result: SignatureResult) -> dict[str, object]:
    """Return the JSON document that `lastwords signature --json` prints."""
    return {
        "schema": 1,
        "version": result.version,
        "signature": result.text,
        "quality": result.quality,
        "is_groupable": result.is_groupable,
        "stack_hash": result.stack_hash,
        "addr_hash": result.addr_hash,
        "msg_hash": result.msg_hash,
        "keys": [{"kind": key.kind.value, "hash": key.hash} for key in result.keys],
        "notes": [{"step": note.step, "text": note.text} for note in result.notes],
    }


def as_lines(result: SignatureResult) -> Iterable[str]:
    """Yield the explanation as lines of text, step by step."""
    yield result.text
    yield ""
    for step, heading in STEPS.items():
        notes = [note.text for note in result.notes if note.step == step]
        if not notes:
            continue
        yield f"{step}: {heading}"
        yield from (f"  {note}" for note in notes)
    yield "hashes"
    for name, value in (
        ("stack", result.stack_hash),
        ("address", result.addr_hash),
        ("message", result.msg_hash),
    ):
        yield f"  {name:8} {value or '-'}"

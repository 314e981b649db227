"""From a received form to a report: who sent what, and whether it was sent before."""

from __future__ import annotations

import json
import re
import secrets
import time
from datetime import datetime, timezone
from typing import TYPE_CHECKING
from uuid import UUID

from lastwords.collector.form import DUMP_PART, clean_name
from lastwords.store import BlobKind, NewBlob, NewReport

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from lastwords.collector.form import FilePart, Form

__all__ = ["new_report", "new_report_id"]

_PRODUCT = ("prod", "product", "ProductName", "_productName", "appName")
_VERSION = ("ver", "version", "Version", "_version", "appVersion")
_CLIENT = ("guid", "client_id", "clientId")
_REPORT_ID = "lastwords_report_id"
_REPORT_PART = "report"
_EXTRA_PART = "extra"
_COLUMN_CHARACTERS = 200
_REPORT_ID_FORM = re.compile(r"[0-9A-Za-z_-]{8,64}")


def new_report_id() -> str:
    """Make a report id: a UUID of version 7 that ends in `0` and the date as YYMMDD (UTC).

    Sorted by time (RFC 9562, 5.7), and readable for tools that take the date from a Socorro id.
    46 bits are random.
    """
    now_s = time.time()
    date = time.strftime("%y%m%d", time.gmtime(now_s))
    random_a, random_b = secrets.randbits(12), secrets.randbits(34)
    value = int(now_s * 1000) << 80 | 0x7 << 76 | random_a << 64
    value |= 0b10 << 62 | random_b << 28 | int(date, 16)
    return str(UUID(int=value))


def new_report(form: Form, query: Mapping[str, str]) -> NewReport:
    """Keep the files of a form in the store, and describe the report that they make.

    Waits for the disk. Text parts that name product, version and installation become columns,
    `query` (the parameters of the address) stands in for missing ones; the rest are annotations.
    """
    texts = _texts(form)
    product = _take(texts, query, _PRODUCT)
    version = _take(texts, query, _VERSION)
    client_id = _take(texts, query, _CLIENT)
    client_report_id = texts.pop(_REPORT_ID, None)
    if client_report_id is not None and not _REPORT_ID_FORM.fullmatch(client_report_id):
        texts[_REPORT_ID] = client_report_id
        client_report_id = None
    blobs = _blobs(form.files)
    dump = next((one for one in blobs if one.kind is BlobKind.DUMP), None)
    identity = None
    if client_report_id is not None:
        identity = f"report:{client_report_id}"
    elif dump is not None:
        identity = json.dumps(["dump", product, version, client_id, dump.sha256])
    return NewReport(
        report_id=new_report_id(),
        identity=identity,
        client_report_id=client_report_id,
        received=datetime.now(timezone.utc),
        product=product,
        version=version,
        client_id=client_id,
        blobs=blobs,
        annotations=tuple(texts.items()),
    )


def _texts(form: Form) -> dict[str, str]:
    """Return the text parts by name; a repeated name gets a number, `extra` is taken apart."""
    texts: dict[str, str] = {}
    for name, value in form.texts:
        inner = _extra(value) if name == _EXTRA_PART else None
        for key, text in inner or [(name, value)]:
            texts[_unused(key, texts)] = text
    return texts


def _extra(value: str) -> list[tuple[str, str]] | None:
    """Return the annotations of a Socorro client's `extra` part; `None` if it is something else."""
    try:
        document = json.loads(value)
    except (ValueError, RecursionError):
        return None
    if not isinstance(document, dict):
        return None
    return [
        (clean_name(key) or "unnamed", text if isinstance(text, str) else json.dumps(text))
        for key, text in document.items()
    ]


def _take(texts: dict[str, str], query: Mapping[str, str], names: Iterable[str]) -> str | None:
    """Remove the first of `names` that says something and return it, made fit for a column."""
    for source in (texts, query):
        for name in names:
            value = clean_name(source.get(name, "").strip())[:_COLUMN_CHARACTERS]
            if value:
                texts.pop(name, None)
                return value
    return None


def _blobs(files: list[FilePart]) -> tuple[NewBlob, ...]:
    blobs: list[NewBlob] = []
    used: set[str] = set()
    kinds: set[BlobKind] = set()
    for one in files:
        kind = _kind(one)
        if kind in kinds:  # a second dump or report.json is kept, as an attachment
            kind = BlobKind.ATTACHMENT
        if kind is not BlobKind.ATTACHMENT:
            kinds.add(kind)
        name = _unused("report.json" if kind is BlobKind.REPORT_JSON else one.filename, used)
        used.add(name)
        sha256, size_bytes = one.writer.keep()
        blobs.append(NewBlob(kind=kind, name=name, sha256=sha256, size_bytes=size_bytes))
    return tuple(blobs)


def _kind(file: FilePart) -> BlobKind:
    if file.part == DUMP_PART:
        return BlobKind.DUMP
    return BlobKind.REPORT_JSON if file.part == _REPORT_PART else BlobKind.ATTACHMENT


def _unused(name: str, used: Iterable[str]) -> str:
    """Return `name`, or `name (2)` and so on when it is taken."""
    candidate, number = name, 1
    while candidate in used:
        number += 1
        candidate = f"{name} ({number})"
    return candidate

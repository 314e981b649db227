"""A multipart body on its way to the disk: bounded parts, files straight into blobs.

The push parser of the `multipart` library finds the parts and bounds their headers; counts and
sizes are bounded here, so that each has its own reason code. Names that clients give are data: they
are shortened, freed of control characters and folders, and never used as paths.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from multipart import (  # type: ignore[import-untyped]  # it ships annotations, but no py.typed
    MultipartError,
    ParserLimitReached,
    PushMultipartParser,
    parse_options_header,
)

from lastwords.collector.accept import Refusal
from lastwords.collector.inflate import Inflater

if TYPE_CHECKING:
    from collections.abc import Iterator

    from multipart import MultipartSegment

    from lastwords.collector.limits import CollectorLimits
    from lastwords.store import Blobs, BlobWriter

__all__ = ["DUMP_PART", "FilePart", "Form", "FormReader", "RawDumpReader", "boundary_of"]

DUMP_PART = "upload_file_minidump"
"""Name of the part that holds the dump, in Breakpad's, Crashpad's and everyone's clients."""

_NAME_CHARACTERS = 255
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_PACKED = (b"\x28\xb5\x2f\xfd", b"\xfd7zXZ\x00", b"BZh", b"PK\x03\x04")
_GZIP = b"\x1f\x8b"


@dataclass(slots=True, kw_only=True)
class FilePart:
    """A received file; its content waits in `writer`, not yet kept."""

    part: str
    filename: str
    writer: BlobWriter


@dataclass(slots=True)
class Form:
    """What a delivery holds: text parts by name (in order, names may repeat), and files."""

    texts: list[tuple[str, str]] = field(default_factory=list)
    files: list[FilePart] = field(default_factory=list)

    def discard(self) -> None:
        """Remove the files that were not kept."""
        for one in self.files:
            one.writer.discard()


def boundary_of(content_type: str | None) -> str:
    """Return the boundary of a multipart Content-Type.

    Raises:
        Refusal: `no_content_type`, `wrong_content_type` or `no_boundary`.
    """
    if not content_type:
        raise Refusal("no_content_type")
    kind, options = parse_options_header(content_type)
    if kind not in ("multipart/form-data", "multipart/mixed"):
        raise Refusal("wrong_content_type", kind[:100])
    boundary = options.get("boundary", "")
    if not 0 < len(boundary) <= 256 or not boundary.isascii() or not boundary.isprintable():
        raise Refusal("no_boundary")
    return str(boundary)


class FormReader:
    """Reads one multipart body, chunk by chunk, into a `Form`."""

    def __init__(self, boundary: str, blobs: Blobs, limits: CollectorLimits) -> None:
        self.form = Form()
        self._blobs = blobs
        self._limits = limits
        self._parts = 0
        self._text_bytes = 0
        self._sink: _TextSink | _FileSink | None = None
        self._parser = PushMultipartParser(
            boundary,
            max_header_size=limits.part_header_bytes,
            max_header_count=limits.part_headers,
        )

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes of the body. Raises `Refusal`."""
        if self._parser.closed:
            return  # an epilogue: RFC 2046, 5.1.1, allows it and it means nothing
        try:
            for event in self._parser.parse(chunk):
                self._take(event)
        except ParserLimitReached as error:
            raise Refusal("part_header_too_large", str(error)) from error
        except MultipartError as error:
            raise Refusal("bad_multipart", str(error)) from error

    def finish(self) -> Form:
        """End the body and return what it held. Raises `Refusal`."""
        try:
            self._parser.close()
        except MultipartError as error:
            raise Refusal("unfinished_multipart", str(error)) from error
        if not self.form.texts and not self.form.files:
            raise Refusal("no_parts")
        return self.form

    def _take(self, event: MultipartSegment | bytes | None) -> None:
        if event is None:
            if self._sink is not None:
                self._sink.finish(self.form)
            self._sink = None
        elif isinstance(event, bytes):
            self._write(event)
        else:
            self._sink = self._begin(event)

    def _begin(self, segment: MultipartSegment) -> _TextSink | _FileSink:
        self._parts += 1
        if self._parts > self._limits.parts:
            raise Refusal("too_many_parts", f"more than {self._limits.parts}")
        part = clean_name(segment.name or "") or "unnamed"
        if segment.filename is None and part != DUMP_PART:
            return _TextSink(part)
        return self._begin_file(part, segment.filename or part)

    def _begin_file(self, part: str, filename: str) -> _FileSink:
        if len(self.form.files) >= self._limits.files:
            raise Refusal("too_many_files", f"more than {self._limits.files}")
        sink = _FileSink(part, clean_file_name(filename), self._blobs, self._limits)
        self.form.files.append(sink.file)
        return sink

    def _write(self, content: bytes) -> None:
        if isinstance(self._sink, _TextSink):
            self._text_bytes += len(content)
            if self._sink.size_bytes + len(content) > self._limits.text_part_bytes:
                self._spill(self._sink)
            elif self._text_bytes > self._limits.text_bytes:
                raise Refusal("text_too_large", f"more than {self._limits.text_bytes} bytes")
        if self._sink is not None:
            self._sink.write(content)

    def _spill(self, text: _TextSink) -> None:
        """Go on with a long text part as a file."""
        self._text_bytes -= text.size_bytes
        sink = self._begin_file(text.part, f"{text.part}.txt")
        sink.write(bytes(text.content))
        self._sink = sink


class RawDumpReader:
    """Reads a body that is the dump itself, as some clients send it."""

    def __init__(self, blobs: Blobs, limits: CollectorLimits) -> None:
        self.form = Form()
        self._sink = _FileSink(DUMP_PART, DUMP_PART, blobs, limits)
        self.form.files.append(self._sink.file)

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes of the body. Raises `Refusal`."""
        self._sink.write(chunk)

    def finish(self) -> Form:
        """End the body. Raises `Refusal`."""
        self._sink.finish(self.form)
        if not self._sink.file.writer.size_bytes:
            raise Refusal("no_parts")
        return self.form


class _TextSink:
    def __init__(self, part: str) -> None:
        self.part = part
        self.content = bytearray()

    @property
    def size_bytes(self) -> int:
        return len(self.content)

    def write(self, content: bytes) -> None:
        self.content += content

    def finish(self, form: Form) -> None:
        text = bytes(self.content).decode("utf-8", "replace").replace("\0", "\ufffd")
        form.texts.append((self.part, text))


class _FileSink:
    """Writes a file into a blob; a dump that is packed with gzip is unpacked on the way."""

    def __init__(self, part: str, filename: str, blobs: Blobs, limits: CollectorLimits) -> None:
        self.file = FilePart(part=part, filename=filename, writer=blobs.writer())
        self._limits = limits
        self._head: bytes | None = b"" if part == DUMP_PART else None
        self._inflater: Inflater | None = None

    def write(self, content: bytes) -> None:
        if self._head is not None:
            self._head += content
            if len(self._head) < 8:
                return
            content, self._head = self._head, None
            self._look_at(content)
        for piece in self._unpacked(content):
            self.file.writer.write(piece)

    def finish(self, form: Form) -> None:  # noqa: ARG002  (a file is in the form from its begin)
        if self._head:
            self.file.writer.write(self._head)
        if self._inflater is not None:
            self._inflater.finish()
        self.file.writer.seal()

    def _look_at(self, head: bytes) -> None:
        if head.startswith(_PACKED):
            raise Refusal("unsupported_dump_compression", repr(head[:4]))
        if head.startswith(_GZIP):
            self._inflater = Inflater(self._limits, reason="bad_dump_compression")

    def _unpacked(self, content: bytes) -> Iterator[bytes]:
        return iter((content,)) if self._inflater is None else self._inflater.feed(content)


def clean_name(name: str) -> str:
    """Return a part's name without control characters, at most 255 characters long."""
    return _CONTROL.sub("\ufffd", name)[:_NAME_CHARACTERS]


def clean_file_name(name: str) -> str:
    """Return the last component of a file name, for showing to people; `file` if there is none."""
    last = re.split(r"[/\\]", clean_name(name))[-1].strip()
    return last if last.strip(".") else "file"

"""Why a delivery is not accepted: one exception, one list of reason codes.

A 4xx says that the delivery is wrong and sending it again is useless; Breakpad's clients then drop
the report. Faults of the server or of the line are 5xx, so that clients keep it and try again.
"""

from __future__ import annotations

__all__ = ["REASONS", "Refusal"]

REASONS: dict[str, tuple[int, str]] = {
    "no_content_type": (400, "the request has no Content-Type; send multipart/form-data"),
    "wrong_content_type": (400, "the Content-Type must be multipart/form-data with a boundary"),
    "no_boundary": (400, "the Content-Type names no boundary"),
    "bad_content_length": (400, "the Content-Length is not a number"),
    "bad_content_encoding": (400, "the Content-Encoding is not gzip, deflate or identity"),
    "bad_compression": (400, "the body is not what its Content-Encoding says, or is cut"),
    "bad_multipart": (400, "the body does not follow multipart/form-data (RFC 7578)"),
    "unfinished_multipart": (400, "the body ends before its last boundary"),
    "no_parts": (400, "the body holds no parts"),
    "too_many_parts": (400, "the body holds too many parts"),
    "too_many_files": (400, "the body holds too many files"),
    "part_header_too_large": (400, "the header of a part is too large"),
    "text_too_large": (400, "the text parts are too large together"),
    "bad_dump_compression": (400, "the dump is compressed, but not as its first bytes say"),
    "unsupported_dump_compression": (400, "the dump is packed; send it as it is or as gzip"),
    "body_too_large": (413, "the body is larger than this server takes"),
    "decoded_too_large": (413, "the body is larger than this server takes, once unpacked"),
    "suspicious_ratio": (413, "the body grows more in unpacking than any crash report does"),
    "method": (405, "reports are sent with POST"),
    "disk_full": (503, "the server has too little free space; send it later"),
    "too_slow": (503, "the client sent too little for too long; send it later"),
    "server_fault": (500, "the server failed; send it later"),
}
"""Reason → HTTP status and one line for people. Clients may match on the reasons."""


class Refusal(Exception):  # noqa: N818  (an answer to a client, not an error of this program)
    """A delivery that is not accepted.

    Args:
        reason: One of `REASONS`.
        detail: What exactly was wrong, for the log; may come from the client.
    """

    def __init__(self, reason: str, detail: str | None = None) -> None:
        self.status, self.explanation = REASONS[reason]
        self.reason = reason
        self.detail = detail
        super().__init__(reason if detail is None else f"{reason}: {detail}")

    @property
    def body(self) -> bytes:
        """The answer: a line for programs (as Socorro's collector words it), one for people."""
        kind = "Unavailable" if self.status >= 500 else "Discarded"
        prefix = "malformed_" if self.status < 500 else ""
        return f"{kind}={prefix}{self.reason}\n{self.explanation}\n".encode()

"""One download: a file over HTTP, resumed, bounded, and only as safe as it was asked to be.

No cookies, no credentials, certificates verified. The standard library's `urllib.request` honours
the proxies of the environment.
"""

from __future__ import annotations

import http.client
import os
import ssl
import sys
import threading
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from enum import Enum
from functools import cache
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from lastwords.symbols.places import is_loopback

if sys.platform != "win32":
    import fcntl

if TYPE_CHECKING:
    from collections.abc import Callable
    from email.message import Message
    from pathlib import Path
    from typing import IO

__all__ = ["GetLimits", "Outcome", "Result", "get_file"]

_CHUNK_BYTES = 256 * 1024
_MAX_REDIRECTS = 8
_RETRIED = (408, 416, 425, 429, 500, 502, 503, 504)
_ABSENT = (401, 403, 404, 410)
_VALIDATOR_SUFFIX = ".validator"


@dataclass(frozen=True, slots=True, kw_only=True)
class GetLimits:
    """How much of everything one download may take.

    Attributes:
        max_bytes: Larger files are refused.
        idle_s: Seconds in which something must come; also for connecting.
        total_s: Seconds for one file, all tries together.
        tries: How often a server that fails, or breaks off, is asked.
        pause_s: Seconds between two tries; doubled each time.
        insecure_http: Whether a redirect may lead to another machine without TLS.
    """

    max_bytes: int = 2 << 30
    idle_s: float = 30.0
    total_s: float = 1800.0
    tries: int = 3
    pause_s: float = 0.5
    insecure_http: bool = False


class Outcome(str, Enum):
    """What became of one download."""

    GOT = "got"
    ABSENT = "absent"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What a server answered.

    Attributes:
        outcome: `absent`: the server says that it has no such file.
        reason: Why there is no file; `None` when there is one.
        size_bytes: Of the file.
    """

    outcome: Outcome
    reason: str | None = None
    size_bytes: int = 0


class _Refused(Exception):  # noqa: N818  (no error: an answer)
    """Trying again does not help."""


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows a bounded number of redirects, and none to a place that is less safe."""

    max_redirections = _MAX_REDIRECTS
    max_repeats = 2

    def __init__(self, limits: GetLimits) -> None:
        self._limits = limits

    def redirect_request(  # noqa: PLR0913, PLR0917  (urllib's signature)
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: Message,
        newurl: str,
    ) -> urllib.request.Request | None:
        parts = urlsplit(newurl)
        is_plain = parts.scheme == "http" and not is_loopback(parts.hostname)
        if parts.scheme not in {"http", "https"} or (is_plain and not self._limits.insecure_http):
            raise _Refused(f"it redirects to {newurl[:200]}, which is not https")
        return super().redirect_request(req, fp, code, msg, headers, newurl)  # type: ignore[arg-type]  # HTTPMessage is a Message


def get_file(
    url: str,
    into: Path,
    limits: GetLimits,
    *,
    progress: Callable[[int, int | None], None] = lambda _done, _total: None,
    stop: threading.Event | None = None,
) -> Result:
    """Download `url` into the file `into`, going on where an earlier attempt broke off.

    Args:
        url: What to get.
        into: Where to; what is there already is the beginning, and stays when it fails again.
        limits: Sizes and times.
        progress: Called with bytes so far, and of the whole where the server tells it.
        stop: When set, the download ends.
    """
    transfer = _Transfer(
        url=url,
        into=into,
        limits=limits,
        progress=progress,
        stop=stop or threading.Event(),
        deadline=time.monotonic() + limits.total_s,
    )
    reason = "it was not tried"
    for attempt in range(limits.tries):
        if attempt and transfer.stop.wait(limits.pause_s * 2 ** (attempt - 1)):
            break
        try:
            size_bytes = transfer.run()
        except _Refused as refused:
            return Result(outcome=Outcome.FAILED, reason=str(refused))
        except urllib.error.HTTPError as error:
            error.close()
            reason = f"the server answered {error.code} {error.reason}"
            if error.code in _ABSENT:
                return Result(outcome=Outcome.ABSENT, reason=reason)
            if error.code not in _RETRIED:
                return Result(outcome=Outcome.FAILED, reason=reason)
        except (OSError, http.client.HTTPException, ValueError) as error:
            reason = _words(error)
        else:
            return Result(outcome=Outcome.GOT, size_bytes=size_bytes)
        if transfer.stop.is_set() or time.monotonic() >= transfer.deadline:
            break
    return Result(outcome=Outcome.FAILED, reason=reason)


def _words(error: Exception) -> str:
    inner = getattr(error, "reason", None)
    if isinstance(inner, ssl.SSLCertVerificationError):
        return f"its certificate is not valid: {inner.verify_message}"
    if isinstance(error, TimeoutError) or isinstance(inner, TimeoutError):
        return "it did not answer in time"
    return str(inner or error) or type(error).__name__


@cache
def _tls() -> ssl.SSLContext:
    """Certificates are verified; reading the system's takes 30 ms."""
    return ssl.create_default_context()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Transfer:
    """One file on its way; each run goes on where the one before ended."""

    url: str
    into: Path
    limits: GetLimits
    progress: Callable[[int, int | None], None]
    stop: threading.Event
    deadline: float

    def run(self) -> int:
        """Return the file's size when all of it is there."""
        start = self._resumable_bytes()
        headers = {"User-Agent": "lastwords", "Accept-Encoding": "identity"}
        if start:
            headers["Range"] = f"bytes={start}-"
            headers["If-Range"] = self._validator.read_text("ascii")
        request = urllib.request.Request(self.url, headers=headers)  # noqa: S310  (checked)
        opener = urllib.request.build_opener(
            _Redirects(self.limits),
            urllib.request.HTTPSHandler(context=_tls()),
        )
        try:
            answer = opener.open(request, timeout=self.limits.idle_s)
        except urllib.error.HTTPError as error:
            if error.code == 416 and start:  # the file became shorter
                self.into.unlink(missing_ok=True)
            raise
        with answer:
            return self._receive(answer, start)

    def _receive(self, answer: http.client.HTTPResponse, start: int) -> int:
        start = start if _goes_on(answer, start) else 0
        total = _expected_bytes(answer, start)
        if total is not None and total > self.limits.max_bytes:
            raise _Refused(f"it has {total:,} bytes, the limit is {self.limits.max_bytes:,}")
        self._note_validator(answer)
        done = self._copy(answer, start, total)
        if total is not None and done != total:
            raise OSError(f"it broke off after {done:,} of {total:,} bytes")
        self._validator.unlink(missing_ok=True)
        return done

    @property
    def _validator(self) -> Path:
        """Holds what tells whether the server still has the file that was begun."""
        return self.into.with_name(self.into.name + _VALIDATOR_SUFFIX)

    def _resumable_bytes(self) -> int:
        """Bytes that an earlier attempt left; 0 when nothing says what file they are of."""
        try:
            return self.into.stat().st_size if self._validator.stat().st_size else 0
        except OSError:
            return 0

    def _note_validator(self, answer: http.client.HTTPResponse) -> None:
        etag = answer.headers.get("ETag", "")
        weak = etag.startswith("W/") or not etag
        mark = answer.headers.get("Last-Modified", "") if weak else etag
        try:
            self._validator.write_text(mark, "ascii")
        except UnicodeEncodeError:
            self._validator.unlink(missing_ok=True)

    def _copy(self, answer: http.client.HTTPResponse, start: int, total: int | None) -> int:
        done = start
        descriptor = os.open(self.into, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
        with os.fdopen(descriptor, "wb") as file:
            _lock(descriptor)
            file.truncate(start)
            file.seek(start)
            self.progress(done, total)
            while chunk := answer.read1(_CHUNK_BYTES):
                done += len(chunk)
                if done > self.limits.max_bytes:
                    raise _Refused(
                        f"it is larger than the limit of {self.limits.max_bytes:,} bytes"
                    )
                file.write(chunk)
                self.progress(done, total)
                if self.stop.is_set():
                    raise OSError("it was stopped")
                if time.monotonic() >= self.deadline:
                    raise OSError(f"it was not there after {self.limits.total_s:.0f} seconds")
        return done


def _goes_on(answer: http.client.HTTPResponse, start: int) -> bool:
    """Whether the answer is the rest of the file, and not all of it."""
    if answer.status != 206:
        return False
    if not answer.headers.get("Content-Range", "").startswith(f"bytes {start}-"):
        raise OSError("it sends another part of the file than was asked for")
    return True


def _expected_bytes(answer: http.client.HTTPResponse, start: int) -> int | None:
    """Bytes of the whole file, `None` when the server does not tell."""
    length = answer.headers.get("Content-Length")
    if answer.headers.get("Content-Encoding", "identity") not in {"", "identity"}:
        raise _Refused("it sends the file encoded, which was not asked for")
    return start + int(length) if length and length.isascii() and length.isdigit() else None


def _lock(descriptor: int) -> None:
    """Keep others off the file; they end with its descriptor."""
    if sys.platform != "win32":
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise _Refused("another process is downloading it right now") from error

"""Unpacking and parsing do not depend on how the bytes arrive, and stop at their bounds."""

from __future__ import annotations

import gzip
import itertools
import zlib
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lastwords.collector.accept import REASONS, Refusal
from lastwords.collector.form import FormReader, boundary_of, clean_file_name, clean_name
from lastwords.collector.inflate import Inflater, has_encoding
from lastwords.collector.limits import CollectorLimits
from lastwords.store import Blobs

if TYPE_CHECKING:
    from pathlib import Path

LIMITS = CollectorLimits()
MIB = 1 << 20


def pieces(body: bytes, cuts: list[int]) -> list[bytes]:
    marks = sorted({min(cut, len(body)) for cut in cuts} | {0, len(body)})
    return [body[a:b] for a, b in itertools.pairwise(marks)]


def raw_deflate(content: bytes) -> bytes:
    engine = zlib.compressobj(wbits=-15)
    return engine.compress(content) + engine.flush()


def two_members(content: bytes) -> bytes:
    half = len(content) // 2
    return gzip.compress(content[:half]) + b"\0\0" + gzip.compress(content[half:])


def reason_of(caught: pytest.ExceptionInfo[Refusal]) -> str:
    return caught.value.reason


@settings(deadline=None)
@given(
    content=st.binary(max_size=3000),
    cuts=st.lists(st.integers(0, 4000), max_size=8),
    pack=st.sampled_from([gzip.compress, zlib.compress, raw_deflate, two_members]),
)
def test_any_chunking_unpacks_to_the_same(content, cuts, pack) -> None:
    inflater = Inflater(LIMITS)
    out = b"".join(piece for chunk in pieces(pack(content), cuts) for piece in inflater.feed(chunk))
    inflater.finish()
    assert out == content


def test_padding_between_members_may_begin_a_chunk() -> None:
    first, second = gzip.compress(b"one"), gzip.compress(b"two")
    inflater = Inflater(LIMITS)
    chunks = [first, b"\0", b"\0" + second]
    assert b"".join(piece for chunk in chunks for piece in inflater.feed(chunk)) == b"onetwo"
    inflater.finish()


@settings(deadline=None)
@given(content=st.binary(min_size=1, max_size=500), kept=st.integers(0, 400))
def test_cut_stream_is_refused(content: bytes, kept: int) -> None:
    packed = gzip.compress(content)
    inflater = Inflater(LIMITS)

    def unpack() -> None:
        list(inflater.feed(packed[: min(kept, len(packed) - 1)]))
        inflater.finish()

    with pytest.raises(Refusal) as caught:
        unpack()
    assert reason_of(caught) == "bad_compression"


@settings(deadline=None)
@given(noise=st.binary(max_size=2000))
def test_noise_is_refused_or_unpacked_never_worse(noise: bytes) -> None:
    inflater = Inflater(LIMITS)
    try:
        list(inflater.feed(noise))
        inflater.finish()
    except Refusal as refusal:
        assert refusal.reason in ("bad_compression", "suspicious_ratio")  # noqa: PT017


def test_bomb_stops_early_and_in_small_pieces() -> None:
    bomb = gzip.compress(bytes(64 * MIB))
    inflater = Inflater(LIMITS)
    sizes = []
    with pytest.raises(Refusal) as caught:
        sizes.extend(len(piece) for piece in inflater.feed(bomb))
    assert reason_of(caught) == "suspicious_ratio"
    assert max(sizes) <= 256 << 10
    assert sum(sizes) <= LIMITS.ratio * len(bomb)


def test_size_is_capped_whatever_the_ratio() -> None:
    limits = CollectorLimits(decoded_bytes=1000, ratio=10**9)
    inflater = Inflater(limits)
    with pytest.raises(Refusal) as caught:
        list(inflater.feed(gzip.compress(bytes(1001))))
    assert reason_of(caught) == "decoded_too_large"
    inflater = Inflater(limits)
    assert sum(len(piece) for piece in inflater.feed(gzip.compress(bytes(1000)))) == 1000


@pytest.mark.parametrize(
    ("header", "expected"),
    [("", False), ("identity", False), ("GZIP", True), (" gzip ", True), ("deflate", True)],
)
def test_known_encodings(header: str, expected: bool) -> None:
    assert has_encoding(header) is expected


@pytest.mark.parametrize("header", ["br", "gzip, gzip", "zstd", "\xff"])
def test_unknown_encodings_are_refused(header: str) -> None:
    with pytest.raises(Refusal) as caught:
        has_encoding(header)
    assert reason_of(caught) == "bad_content_encoding"


@pytest.fixture(scope="module")
def blobs(tmp_path_factory: pytest.TempPathFactory) -> Blobs:
    root: Path = tmp_path_factory.mktemp("blobs")
    (root / "blobs").mkdir()
    (root / "incoming").mkdir()
    return Blobs(root / "blobs", root / "incoming")


@settings(deadline=None)
@given(
    dump=st.binary(min_size=1, max_size=2000),
    text=st.text(max_size=200),
    cuts=st.lists(st.integers(0, 3000), max_size=10),
)
def test_any_chunking_gives_the_same_form(blobs: Blobs, dump: bytes, text: str, cuts) -> None:
    dump = b"MDMP" + dump
    body = (
        b'--B\r\nContent-Disposition: form-data; name="k"\r\n\r\n'
        + text.encode()
        + b'\r\n--B\r\nContent-Disposition: form-data; name="upload_file_minidump"; filename="d"'
        + b"\r\n\r\n"
        + dump.replace(b"\r\n--B", b"")
        + b"\r\n--B--\r\nepilogue"
    )
    if b"\r\n--B" in text.encode():
        return
    reader = FormReader("B", blobs, LIMITS)
    for chunk in pieces(body, cuts):
        reader.feed(chunk)
    form = reader.finish()
    assert form.texts == [("k", text.replace("\0", "\ufffd"))]
    (file,) = form.files
    sha256, _ = file.writer.keep()
    assert blobs.read(sha256) == dump.replace(b"\r\n--B", b"")
    form.discard()


@settings(max_examples=300, deadline=None)
@given(noise=st.binary(max_size=600))
def test_noise_in_a_body_is_refused_with_a_listed_reason(blobs: Blobs, noise: bytes) -> None:
    body = b"--B\r\n" + noise
    reader = FormReader("B", blobs, LIMITS)
    try:
        reader.feed(body)
        reader.finish()
    except Refusal as refusal:
        assert refusal.reason in REASONS  # noqa: PT017
    reader.form.discard()
    assert list(blobs.incoming.iterdir()) == []


@settings(deadline=None)
@given(st.text(max_size=400))
def test_clean_names_are_short_and_printable(name: str) -> None:
    for clean in (clean_name(name), clean_file_name(name)):
        assert len(clean) <= 255
        clean.encode()
        assert not any(ord(char) < 32 or 127 <= ord(char) < 160 for char in clean)
    file_name = clean_file_name(name)
    assert file_name.strip(". ")
    assert "/" not in file_name
    assert "\\" not in file_name


@pytest.mark.parametrize(
    ("content_type", "boundary"),
    [
        ("multipart/form-data; boundary=abc", "abc"),
        ('Multipart/Form-Data; charset=utf-8; boundary="a b"', "a b"),
        ("multipart/mixed;boundary=abc", "abc"),
    ],
)
def test_boundaries_are_found(content_type: str, boundary: str) -> None:
    assert boundary_of(content_type) == boundary


def test_every_reason_says_permanent_or_transient_rightly() -> None:
    for reason, (status, explanation) in REASONS.items():
        refusal = Refusal(reason, "detail of the client")
        first, second, end = refusal.body.decode().split("\n")
        assert end == ""
        assert second == explanation
        kind = "Unavailable=" if status >= 500 else "Discarded=malformed_"
        assert first == kind + reason
        assert b"detail" not in refusal.body
        assert status in (400, 405, 413, 500, 503), "never 429, which dump clients do not know"

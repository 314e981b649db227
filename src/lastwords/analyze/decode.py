"""From the core's document to the nouns of `lastwords.report.analysis`.

msgspec and the nouns are imported by the first decoding: `lastwords analyze --json` and the
processor's child, which pass the document on as it is, start 40 ms sooner without them.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from lastwords.errors import DumpError

if TYPE_CHECKING:
    import msgspec

    from lastwords.report.analysis import Analysis

__all__ = ["decode_analysis"]


def decode_analysis(document: bytes) -> Analysis:
    """Decode an analysis document; keys that are not known are passed over.

    Raises:
        DumpError: `analysis_malformed`; the message names the place, `$.threads[0].frames`.
    """
    import msgspec  # noqa: PLC0415

    try:
        return _decoder().decode(document)
    except msgspec.MsgspecError as error:
        raise DumpError(
            "analysis_malformed",
            f"this is no analysis document: {error}",
            "it must be what `lastwords analyze --json` prints",
        ) from error


@cache
def _decoder() -> msgspec.json.Decoder[Analysis]:
    import msgspec  # noqa: PLC0415

    from lastwords.report.analysis import Analysis  # noqa: PLC0415

    return msgspec.json.Decoder(Analysis, strict=True, dec_hook=_decode_own_type)


def _decode_own_type(wanted: type, value: object) -> object:
    from lastwords.report.analysis import Address  # noqa: PLC0415

    if wanted is Address and isinstance(value, str):
        return Address(value, 16)
    raise NotImplementedError(f"{wanted.__name__} from {type(value).__name__}")

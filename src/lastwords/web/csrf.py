"""Protection of changing requests against other web sites (CSRF), without cookies.

There is no sign-in, so there is nothing that a cookie could tie a token to. Two checks instead, and
a request must pass both: browsers say where a request comes from (`Sec-Fetch-Site`, `Origin`), and
every form carries a random token of this server process, which other sites cannot read from our
pages.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["FormToken", "is_same_origin"]


class FormToken:
    """The token that this process puts into its forms; a restart makes a new one."""

    def __init__(self) -> None:
        self.value = secrets.token_urlsafe(32)

    def is_valid(self, sent: str | None) -> bool:
        """Compare in constant time; `None` is never valid."""
        return sent is not None and secrets.compare_digest(sent.encode(), self.value.encode())


def is_same_origin(headers: Mapping[str, str]) -> bool:
    """Tell whether a changing request comes from a page of this server.

    Args:
        headers: With lower-case names. A client that sends neither `Sec-Fetch-Site` nor `Origin` is
            no browser of our time, and the token decides alone.
    """
    site = headers.get("sec-fetch-site")
    if site is not None and site not in {"same-origin", "none"}:
        return False
    origin = headers.get("origin")
    if origin is None:
        return True
    return bool(origin != "null" and urlsplit(origin).netloc == headers.get("host"))

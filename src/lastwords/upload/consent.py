"""The one gate: nothing leaves the machine unless `decide()` said so.

A person decides `ask`, `always` or `never`, for one product or for all; the decision lies in
`$XDG_CONFIG_HOME/lastwords/consent.json` (`~/.config/lastwords/…`) where that person can read and
change it. What counts, first hit wins:

1. a decision passed with the call (`lastwords send --yes`);
2. a stored `never`, for the product or for all;
3. the setting `consent` of the application or its environment;
4. the stored decision for the product, then the one for all;
5. `ask`.

`ask` means: on a terminal the person is asked there, elsewhere the answer is no.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lastwords.config import CONSENT_CHOICES, config_dir
from lastwords.errors import SettingsError
from lastwords.report.json_text import json_text, read_json_file
from lastwords.spool.writer import write_file

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = [
    "Decision",
    "consent_by_product",
    "consent_path",
    "decide",
    "read_consent",
    "store_consent",
]

_DEFAULT = "ask"


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """The gate's answer, and the reason in words for whoever wonders why."""

    is_allowed: bool
    reason: str


def consent_path(environ: Mapping[str, str] | None = None) -> str:
    """File in which the decisions are kept."""
    return os.path.join(config_dir(environ), "consent.json")


def _read_document(environ: Mapping[str, str] | None) -> dict[str, str]:
    """Return product → decision; the key `""` stands for all products."""
    path = consent_path(environ)
    try:
        document = read_json_file(path)
    except FileNotFoundError:
        return {}
    products = document.get("products")
    stored = dict(products) if isinstance(products, dict) else {}
    stored[""] = document.get("default")
    return {str(key): value for key, value in stored.items() if value in CONSENT_CHOICES}


def read_consent(
    product: str | None = None, environ: Mapping[str, str] | None = None
) -> str | None:
    """Return the stored decision.

    Args:
        product: The product; `None` for the decision about all products.
        environ: Environment variables; `os.environ` when `None`.

    Returns:
        `ask`, `always` or `never`; `None` when nothing was decided. A stored `never` for all
        products beats what is stored for one. A file that is there but cannot be read counts as
        `never`, because it may say so.
    """
    try:
        stored = _read_document(environ)
    except (OSError, ValueError):
        return "never"
    if stored.get("") == "never":
        return "never"
    return stored.get(product or "") or stored.get("")


def consent_by_product(environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return product → decision as stored; empty when the file cannot be read.

    A stored `never` for all products beats these: `read_consent()` says what counts.
    """
    try:
        stored = _read_document(environ)
    except (OSError, ValueError):
        return {}
    return {product: decision for product, decision in stored.items() if product}


def store_consent(
    choice: str, product: str | None = None, environ: Mapping[str, str] | None = None
) -> None:
    """Store a decision for one product, or for all when `product` is `None`.

    Raises:
        SettingsError: The choice is not one (`setting_wrong_value`), or the file cannot be
            written (`consent_not_stored`).
    """
    if choice not in CONSENT_CHOICES:
        expected = ", ".join(CONSENT_CHOICES)
        raise SettingsError(
            "setting_wrong_value",
            f"consent {choice!r} is not one of {expected}",
            f"type {expected}",
        )
    path = consent_path(environ)
    try:
        stored = _read_document(environ)
    except (OSError, ValueError):
        stored = {}  # damaged: the new decision replaces it
    stored[product or ""] = choice
    default = stored.pop("", None)
    document = {"schema": 1, "default": default, "products": stored}
    try:
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
        write_file(f"{path}.{os.getpid()}.tmp", (json_text(document) + "\n").encode())
        os.replace(f"{path}.{os.getpid()}.tmp", path)
    except OSError as error:
        raise SettingsError(
            "consent_not_stored",
            f"the decision cannot be kept in {path}: {error.strerror}",
            "make the directory writable, or set LASTWORDS_CONSENT",
        ) from error


def decide(
    product: str | None,
    *,
    setting: str | None = None,
    passed: bool | None = None,
    ask: Callable[[], str] | None = None,
    environ: Mapping[str, str] | None = None,
) -> Decision:
    """Say whether reports of a product may be sent now.

    Args:
        product: Product of the reports.
        setting: The setting `consent`; `None` when not set.
        passed: A decision given with this very call; `None` when none was.
        ask: Asks the person and returns `once`, `always`, `no` or `never`; `None` where nobody
            can be asked. `always` and `never` are stored for the product.
        environ: Environment variables; `os.environ` when `None`.
    """
    if passed is not None:
        return Decision(is_allowed=passed, reason="decided with this call")
    stored = read_consent(product, environ)
    if stored == "never":
        return Decision(
            is_allowed=False, reason=f"the stored decision is never ({consent_path(environ)})"
        )
    choice = setting or stored or _DEFAULT
    origin = "setting" if setting else "stored decision" if stored else "default"
    if choice != "ask":
        return Decision(is_allowed=choice == "always", reason=f"the {origin} is {choice}")
    if ask is None:
        return Decision(
            is_allowed=False, reason=f"the {origin} is ask, and nobody can be asked here"
        )
    return _asked(ask(), product, environ)


def _asked(answer: str, product: str | None, environ: Mapping[str, str] | None) -> Decision:
    if answer in ("always", "never"):
        store_consent(answer, product, environ)
    return Decision(is_allowed=answer in ("once", "always"), reason=f"the answer was {answer}")

"""`/`: the issues, most installations first."""

# ruff: noqa: TC001, TC002  (Litestar reads the annotations of handlers at run time)

from __future__ import annotations

from litestar import get
from litestar.di import NamedDependency
from litestar.params import FromQuery
from litestar.response import Template

from lastwords.store import Store
from lastwords.triage import ranked_issues
from lastwords.web.queries import (
    STATUS_CHOICES,
    chosen_statuses,
    products,
    report_states,
)

__all__ = ["issues_page"]

_LIMIT = 200


@get("/", sync_to_thread=True)
def issues_page(
    store: NamedDependency[Store],
    status: FromQuery[str] = "unresolved",
    product: FromQuery[str | None] = None,
) -> Template:
    """List issues; `status` is one of `STATUS_CHOICES`."""
    statuses = chosen_statuses(status)
    ranked = ranked_issues(store, statuses=statuses, product=product or None, limit=_LIMIT)
    return Template(
        "issues.html",
        context={
            "issues": ranked,
            "status": status,
            "choices": STATUS_CHOICES,
            "product": product or None,
            "products": products(store),
            "states": report_states(store),
            "limit": _LIMIT,
        },
    )

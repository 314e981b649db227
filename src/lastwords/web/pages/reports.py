"""`/reports`: the newest reports, in whatever state they are."""

# ruff: noqa: TC002  (Litestar reads the annotations of handlers at run time)

from __future__ import annotations

from typing import Annotated

from litestar import get
from litestar.di import NamedDependency
from litestar.params import QueryParameter
from litestar.response import Template

from lastwords.store import ReportFilter, Store
from lastwords.web.queries import chosen_state, report_states

__all__ = ["reports_page"]

_LIMIT = 200


@get("/reports", sync_to_thread=True)
def reports_page(
    store: NamedDependency[Store], wanted: Annotated[str, QueryParameter(name="state")] = "all"
) -> Template:
    """List reports, newest first; `?state=` is `all` or a report's state."""
    where = ReportFilter(state=chosen_state(wanted))
    return Template(
        "reports.html",
        context={
            "reports": store.reports(where, limit=_LIMIT),
            "state": wanted,
            "states": report_states(store),
            "limit": _LIMIT,
        },
    )

"""Goes through a spool and delivers what may be delivered.

The gate is asked once for each product, then each report is claimed, sent, and moved or marked
according to the answer. A report that fails stays in `pending/` with its count of attempts and the
time of the next one; after too many it is kept in `completed/`, marked `given_up`.
"""

from __future__ import annotations

import contextlib
import random
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from lastwords.errors import DeliveryError, SpoolError
from lastwords.upload.multipart import report_body
from lastwords.upload.sender import Answer, Timeouts, check_url, send

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from lastwords.spool.spool import DeliveryState, Spool, SpooledReport
    from lastwords.upload.consent import Decision

__all__ = ["Delivery", "Outcome", "backoff_s", "deliver", "format_time", "parse_time"]

_FIRST_WAIT_S = 60.0
_LONGEST_WAIT_S = 6 * 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """How to deliver.

    Attributes:
        gate: The consent gate: product and address and its reports → decision.
        url: Address for all reports; `None` takes each report's own.
        timeouts: See `Timeouts`.
        retry_count: Failed attempts after which a report is given up.
        is_by_hand: A person asked for it now: waiting times are ignored.
    """

    gate: Callable[[str | None, str, Sequence[SpooledReport]], Decision]
    url: str | None = None
    timeouts: Timeouts = field(default_factory=Timeouts)
    retry_count: int = 10
    is_by_hand: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of one report.

    `outcome` is `delivered`, `rejected`, `failed`, `given_up`, `not_allowed`, `no_url`, `waiting`
    (its next attempt is not due), `busy` (another process sends it) or `skipped` (the server was
    not reachable a moment ago).
    """

    report_id: str
    outcome: str
    server_id: str | None = None
    reason: str | None = None
    url: str | None = None


def format_time(seconds: float) -> str:
    """Write seconds since 1970 as RFC 3339 in UTC, with milliseconds."""
    milliseconds = int(seconds * 1000)
    text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(milliseconds // 1000))
    return f"{text}.{milliseconds % 1000:03d}Z"


def parse_time(text: str | None) -> float | None:
    """Read what `format_time()` writes; `None` for anything else."""
    from datetime import datetime

    try:
        moment = datetime.strptime(f"{text}+0000", "%Y-%m-%dT%H:%M:%S.%fZ%z")
        return moment.timestamp()
    except (ValueError, OverflowError):
        return None


def backoff_s(attempts: int) -> float:
    """Return how long to wait after the n-th failure, in seconds.

    Doubles from one minute to six hours, and varies by a fifth so that many installations do not
    come back to a server at the same moment.
    """
    wait_s = min(_FIRST_WAIT_S * 2 ** min(max(attempts, 1) - 1, 30), _LONGEST_WAIT_S)
    return float(wait_s * random.uniform(0.8, 1.2))  # noqa: S311  (not for secrets)


def deliver(
    spool: Spool,
    delivery: Delivery,
    *,
    report_ids: Sequence[str] | None = None,
    now: float | None = None,
) -> list[Outcome]:
    """Deliver the pending reports of a spool.

    Args:
        spool: The spool.
        delivery: How.
        report_ids: Only these; `None` takes all that are pending.
        now: The time, in seconds since 1970; the clock's when `None`.

    Returns:
        One outcome for each report, in the order in which they were made.

    Raises:
        SpoolError: A report named in `report_ids` is not pending.
        DeliveryError: `delivery.url` is not an address.
    """
    if delivery.url is not None:
        check_url(delivery.url)
    if report_ids is None:
        pending = spool.reports("pending")
    else:
        pending = [spool.read("pending", report_id) for report_id in report_ids]
    round_ = _Round(spool=spool, delivery=delivery, now=time.time() if now is None else now)
    outcomes = []
    for (product, url), reports in _by_target(pending, delivery).items():
        outcomes += round_.deliver_to(product, url, reports)
    order = {spooled.report_id: index for index, spooled in enumerate(pending)}
    return sorted(outcomes, key=lambda outcome: order[outcome.report_id])


def _by_target(
    pending: Sequence[SpooledReport], delivery: Delivery
) -> dict[tuple[str | None, str | None], list[SpooledReport]]:
    targets: dict[tuple[str | None, str | None], list[SpooledReport]] = {}
    for spooled in pending:
        url = delivery.url or spooled.report.url
        targets.setdefault((spooled.report.product, url), []).append(spooled)
    return targets


def _not_sent(spooled: SpooledReport, outcome: str, reason: str) -> Outcome:
    return Outcome(report_id=spooled.report_id, outcome=outcome, reason=reason)


def _send_one(url: str, spooled: SpooledReport, timeouts: Timeouts) -> Answer:
    try:
        return send(url, report_body(spooled), timeouts)
    except DeliveryError as error:
        return Answer(outcome="failed", reason=error.message)
    except OSError as error:
        return Answer(outcome="failed", reason=f"the report cannot be read: {error.strerror}")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Round:
    """One pass through a spool."""

    spool: Spool
    delivery: Delivery
    now: float

    def deliver_to(
        self, product: str | None, url: str | None, reports: Sequence[SpooledReport]
    ) -> list[Outcome]:
        """Deliver the reports of one product to one address."""
        if url is None:
            reason = "neither the report nor the call names a url"
            return [_not_sent(spooled, "no_url", reason) for spooled in reports]
        due = [spooled for spooled in reports if not self._is_waiting(spooled)]
        outcomes = [
            _not_sent(spooled, "waiting", f"next attempt at {spooled.delivery.next_attempt}")
            for spooled in reports
            if self._is_waiting(spooled)
        ]
        if not due:
            return outcomes
        decision = self.delivery.gate(product, url, due)
        if not decision.is_allowed:
            return outcomes + [_not_sent(item, "not_allowed", decision.reason) for item in due]
        return outcomes + self._send_all(url, due)

    def _is_waiting(self, spooled: SpooledReport) -> bool:
        next_attempt = parse_time(spooled.delivery.next_attempt)
        if self.delivery.is_by_hand or next_attempt is None:
            return False
        # A wait longer than any that is ever set means that the clock was wrong then.
        return self.now < next_attempt < self.now + 5 * _LONGEST_WAIT_S

    def _send_all(self, url: str, reports: Sequence[SpooledReport]) -> list[Outcome]:
        outcomes: list[Outcome] = []
        unreachable: str | None = None
        # The least tried first: one report that makes a server hang must not keep others back.
        for spooled in sorted(reports, key=lambda report: report.delivery.attempts):
            if unreachable is not None:
                outcomes.append(_not_sent(spooled, "skipped", unreachable))
                continue
            try:
                with self.spool.claim("pending", spooled.report_id):
                    outcome, unreachable = self._try_one(url, spooled.report_id)
            except SpoolError as error:
                outcome = _not_sent(spooled, "busy", error.message)
            outcomes.append(outcome)
        return outcomes

    def _try_one(self, url: str, report_id: str) -> tuple[Outcome, str | None]:
        """Send a claimed report; returns its outcome and why the server is unreachable, if so."""
        # Read now: another process may have tried it since it was listed.
        spooled = self.spool.read("pending", report_id)
        state = spooled.delivery
        if state.outcome is not None:  # answered before, but it could not be moved then
            self.spool.move(report_id, "pending", "completed")
            outcome = Outcome(report_id=report_id, outcome=state.outcome, server_id=state.server_id)
            return outcome, None
        answer = _send_one(url, spooled, self.delivery.timeouts)
        outcome = self._settle(url, spooled, answer)
        return outcome, answer.reason if answer.is_unreachable else None

    def _settle(self, url: str, spooled: SpooledReport, answer: Answer) -> Outcome:
        """Write down the answer and move the claimed report to where it now belongs."""
        before = spooled.delivery
        attempts = before.attempts + 1
        outcome = answer.outcome
        is_last = attempts >= self.delivery.retry_count and not self.delivery.is_by_hand
        if outcome == "failed" and is_last:
            outcome = "given_up"
        is_final = outcome != "failed"
        wait_s = max(backoff_s(attempts), answer.retry_after_s or 0.0)
        state = replace(
            before,
            attempts=attempts,
            last_attempt=format_time(self.now),
            last_error=answer.reason,
            next_attempt=None if is_final else format_time(self.now + wait_s),
            server_id=answer.server_id or before.server_id,
            outcome=outcome if is_final else None,
        )
        self._store(spooled.report_id, state)
        return Outcome(
            report_id=spooled.report_id,
            outcome=outcome,
            server_id=answer.server_id,
            reason=answer.reason,
            url=url,
        )

    def _store(self, report_id: str, state: DeliveryState) -> None:
        # On a full disk the state may not fit, but a rename still works; a delivered report must
        # not stay pending, or it would be sent again.
        with contextlib.suppress(SpoolError):
            self.spool.write_delivery("pending", report_id, state)
        if state.outcome is not None:
            with contextlib.suppress(SpoolError):  # the next round moves it
                self.spool.move(report_id, "pending", "completed")

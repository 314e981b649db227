"""Reports come in over HTTP: one bare ASGI callable, bounded everywhere, durable before it answers.

Owns the wire formats of clients and the reasons of refusals. What a report means is the processor's
business: a dump that cannot be read is stored all the same.
"""

from lastwords.collector.accept import REASONS
from lastwords.collector.app import Collector
from lastwords.collector.limits import CollectorLimits

__all__ = ["REASONS", "Collector", "CollectorLimits"]

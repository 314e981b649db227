"""Jobs: read what came, analyse the dump in a disposable child, scrub, sign, group.

Owns the order of the steps, the isolation of foreign bytes, and what is tried again. A step that
fails leaves a note and never stops the rest. Nothing here talks to clients: `store` is the only way
in and out.
"""

from lastwords.processor.isolate import ChildEnd, ChildLimits, ChildResult, run_child
from lastwords.processor.pipeline import STEPS, process
from lastwords.processor.work import ProcessorSettings, StepResult, Work
from lastwords.processor.workers import Processor, default_workers

__all__ = [
    "STEPS",
    "ChildEnd",
    "ChildLimits",
    "ChildResult",
    "Processor",
    "ProcessorSettings",
    "StepResult",
    "Work",
    "default_workers",
    "process",
    "run_child",
]

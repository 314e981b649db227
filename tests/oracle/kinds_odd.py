"""Odd steps: what unwinding stumbles over (`programs/odd.c`, `odd.S`, `bare.c`).

They stand in no plain script, for there lastwords has to be right; here it may be uncertain.
"""

from __future__ import annotations

from kinds_stops import PAUSE, Stop
from steps import Kind

__all__ = ["KINDS", "STOPS"]


def _odd(name: str, call: str, natives: str, *, is_exact: bool) -> Kind:
    return Kind(
        name=name,
        source=f"\ndef $here():\n    return odd.{call}_$c($next)\n",
        frames=f"py $here\nown {call}_$c\n{natives}",
        copies="odd",
        needs="odd",
        is_exact=is_exact,
    )


_DEBUG_FRAME = "own debugframe_$c\nown debugframeinner_$c"
KINDS = [
    _odd("signal", "raised", "own handler_$c", is_exact=True),
    _odd("signal_on_alternate_stack", "alternate", "own handler_$c", is_exact=True),
    _odd("fault_at_entry", "faulted", "own fault_$c\nown handler_$c", is_exact=True),
    _odd("trap_in_function", "trapped", "own trap_$c\nown handler_$c", is_exact=True),
    _odd("call_of_null", "callednull", "own handler_$c", is_exact=False),
    _odd("other_stack", "elsewhere", "own entry_$c", is_exact=False),
    _odd("assembly", "tonocfi", "own nocfi_$c", is_exact=False),
    _odd("assembly_with_frame_pointer", "toframed", "own framed_$c", is_exact=False),
    _odd("assembly_that_trashes", "totrashing", "own trashing_$c", is_exact=False),
    _odd("c_without_tables", "tobare", "own bare_$c\nown bareinner_$c", is_exact=False),
    _odd("c_with_debug_frame", "todebugframe", _DEBUG_FRAME, is_exact=False),
    Kind(
        name="greenlet",
        source="""
def $here():
    return greenlet.greenlet(lambda: $next()).switch()
""",
        frames="""
            py $here
            cut
            py $here.<locals>.<lambda>
        """,
        needs="greenlet",
        once="greenlet",
    ),
    Kind(
        name="greenlet_resumed",
        source="""
def $here():
    home = greenlet.getcurrent()
    def work():
        home.switch()
        steps.unknown()
        return $next()
    away = greenlet.greenlet(work)
    away.switch()
    return resuming_$n(away)
def resuming_$n(away):
    return list(map(lambda x: away.switch(), [1]))
""",
        frames="""
            py $here
            py resuming_$n
            cut
            py $here.<locals>.work
        """,
        needs="greenlet",
        is_exact=False,
        once="greenlet",
    ),
    Kind(
        name="interpreter",
        source="""
def $here():
    odd.interpreter_$c(NOTE_OUTER, INNER.replace("FUNCTION", "$next"))
""",
        frames="""
            py $here
            own interpreter_$c
            inner
        """,
        copies="odd",
        needs="odd",
        once="interpreter",
    ),
]


def _stop(name: str, natives: str) -> Stop:
    source = f"\ndef $here():\n    return odd.stop_{name}(NOTE)\n"
    frames = f"py $here\nown stop_{name}\n{natives}"
    kind = Kind(name=f"stop_{name}", source=source, frames=frames, copies="odd", needs="odd")
    return Stop(kind=kind, system_calls=frozenset({PAUSE}))


STOPS = {
    "no_tables": [
        _stop("bareentry", "own bareleaf_entry"),
        _stop("barepushed", "own bareleaf_pushed"),
        _stop("bareframed", "own bareleaf_framed"),
    ],
    "linkage_table": [
        _stop("linked", "own linked\nown call_with_34"),
        _stop("linkedpushed", "own linked\nown call_with_34"),
    ],
}

"""For GDB: prints `thread, stack pointer, end` of every native evaluation frame, newest first.

A native frame's part of the stack goes from its stack pointer to that of its caller.
"""

import gdb


def evaluation_frames(frame):
    """Stack ranges of the calls of `_PyEval_EvalFrameDefault` that lead to `frame`."""
    while frame is not None:
        name, is_inline = frame.name() or "", frame.type() == gdb.INLINE_FRAME
        start = int(frame.read_register("rsp"))
        frame = frame.older()
        while frame is not None and frame.type() == gdb.INLINE_FRAME:
            frame = frame.older()
        if frame is not None and not is_inline and "_PyEval_EvalFrameDefault" in name:
            yield start, int(frame.read_register("rsp"))


for thread in gdb.selected_inferior().threads():
    thread.switch()
    for start, end in evaluation_frames(gdb.newest_frame()):
        print("evaluation", thread.ptid[1], start, end)

"""Runs inside LLDB (`command script import`): prints what LLDB knows about its core as JSON."""

import json

import lldb


def _thread(thread):
    frames = [
        {
            "function": frame.GetFunctionName(),
            "pc": frame.GetPC(),
            "line": frame.GetLineEntry().GetLine(),
        }
        for frame in thread
    ]
    reason = thread.GetStopReason()
    return {
        "tid": thread.GetThreadID(),
        "signal": thread.GetStopReasonDataAtIndex(0) if reason == lldb.eStopReasonSignal else None,
        "stop": thread.GetStopDescription(200),
        "frames": frames,
    }


def facts(debugger, command, result, internal):
    target = debugger.GetSelectedTarget()
    process = target.GetProcess()
    modules = [
        {
            "path": module.GetPlatformFileSpec().fullpath,
            "uuid": (module.GetUUIDString() or "").replace("-", "").lower(),
            "base": module.GetObjectFileHeaderAddress().GetLoadAddress(target),
        }
        for module in target.module_iter()
    ]
    known = {
        "pid": process.GetProcessID(),
        "selected_tid": process.GetSelectedThread().GetThreadID(),
        "threads": [_thread(thread) for thread in process],
        "modules": modules,
    }
    result.AppendMessage("FACTS " + json.dumps(known))


def __lldb_init_module(debugger, internal):
    debugger.HandleCommand("command script add -f lldb_facts.facts facts")

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
        "registers": _registers(thread),
    }


def _registers(thread):
    sets = thread.GetFrameAtIndex(0).GetRegisters()
    general = [one for one in sets if "general" in (one.GetName() or "").lower()]
    return {one.GetName(): one.GetValueAsUnsigned() for values in general for one in values}


def _memory(process, place):
    address, size = place
    error = lldb.SBError()
    data = process.ReadMemory(address, size, error)
    return data.hex() if error.Success() and len(data) == size else None


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
        "memory": [_memory(process, place) for place in json.loads(command or "[]")],
    }
    result.AppendMessage("FACTS " + json.dumps(known))


def __lldb_init_module(debugger, internal):
    debugger.HandleCommand("command script add -f lldb_facts.facts facts")

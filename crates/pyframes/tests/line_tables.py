"""Prints the line tables of many code objects and what the interpreter reads in them.

One JSON array per line: [name, first line, table in hexadecimal, locations], with one
location per code unit: [line, end line, column, end column], or [line] before 3.11.
"""

import argparse
import ast
import asyncio.base_events
import ctypes
import dataclasses
import inspect
import json
import sys
import tarfile
import types
import typing

line_of = ctypes.pythonapi.PyCode_Addr2Line
MODULES = [argparse, ast, asyncio.base_events, dataclasses, inspect, tarfile, typing]


def strange_code():
    """Code whose tables hold what ordinary modules do not."""
    wide, deep = " " * 300, "\n" * 80
    far = f"def far():\n    x = 1{deep * 12}\n    return ({wide}x\n +{deep}x)\n"
    yield compile(far, "far", "exec")
    yield compile("x = '" + "é" * 200 + "'; y = x", "wide", "exec")
    tree = ast.parse("a = b\nc = d")
    for line, node in enumerate(tree.body):
        node.lineno, node.end_lineno = 5000 - 3000 * line, 5001
        node.value.col_offset, node.value.end_col_offset = 70, 900
    yield compile(tree, "moved", "exec")
    yield (lambda: 0).__code__.replace(co_firstlineno=2_000_000)


def with_constants(code):
    yield code
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from with_constants(constant)


def locations(code):
    if hasattr(code, "co_positions"):
        return [list(position) for position in code.co_positions()]
    if not hasattr(code, "co_lines"):  # 3.9
        units = range(0, len(code.co_code), 2)
        return [[line_of(ctypes.py_object(code), offset)] for offset in units]
    lines = [None] * (len(code.co_code) // 2)
    for start, end, line in code.co_lines():
        lines[start // 2 : end // 2] = [line] * (end // 2 - start // 2)
    return [[line] for line in lines]


def main():
    codes = list(strange_code())
    for module in MODULES:
        with open(module.__file__, encoding="utf-8") as file:
            codes.append(compile(file.read(), module.__file__, "exec"))
    for top in codes:
        for code in with_constants(top):
            table = getattr(code, "co_linetable", None) or code.co_lnotab
            table = table.hex()
            row = [code.co_name, code.co_firstlineno, table, locations(code)]
            sys.stdout.write(json.dumps(row) + "\n")


main()

"""cdb's command language on dumps of every system.

Owns: the commands, their syntax, how answers read, the prompt. Does not own: reading the dump,
symbols, types (`lastwords.analyze.DumpSession` and the core behind it), the command line (`cli`).
"""

from lastwords.debug.debugger import Debugger
from lastwords.debug.registry import COMMANDS, Command

__all__ = ["COMMANDS", "Command", "Debugger"]

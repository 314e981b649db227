"""cdb's command language on dumps of every system.

Owns: the commands, their syntax, how answers read. Does not own: reading the dump, symbols, types
(`lastwords.analyze.DumpSession` and the core behind it), or the terminal (`lastwords.cli.debug`).
"""

from lastwords.debug.debugger import Debugger
from lastwords.debug.registry import COMMANDS, Command

__all__ = ["COMMANDS", "Command", "Debugger"]

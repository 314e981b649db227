"""What is damaged, and how: each target makes an input out of seeds and chance.

| target | what |
|---|---|
| `dump` | dumps of all writers, damaged anywhere |
| `symbols` | whole dumps with damaged symbol files |
| `own` | dumps of this installation, damaged in one stream |
| `json` | the same, with streams of JSON that say something else |
| `large` | dumps of which only parts are read (`max_whole_bytes`) |
| `packed` | zstd files: damaged, of damaged dumps, and such that grow without measure |
| `session` | a debugger on damaged dumps: all commands |
| `files` | damaged symbol files of every kind: ELF, PE, PDB, Mach-O, text |
| `convert` | damaged dumps, cores and microdumps, converted |
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from fuzz.damage import damaged
from fuzz.packed import bomb, packed
from fuzz.streams import otherwise_said, stream_damaged

if TYPE_CHECKING:
    import random
    from collections.abc import Callable
    from pathlib import Path

__all__ = ["Input", "Seeds", "targets"]

_SMALL_LIMITS = (0, 1, 4096, 65536)


@dataclass(slots=True)
class Input:
    """What the child is to read, and which way (`reader.py`)."""

    file: Path
    symbols: Path | None = None
    max_whole_bytes: int | None = None
    way: str = "analyze"

    def line(self) -> str:
        """As the child reads it."""
        values = (self.way, self.file, self.symbols, self.max_whole_bytes)
        return "\t".join("" if value is None else str(value) for value in values)


@dataclass(slots=True)
class Seeds:
    """Files that are good."""

    dumps: list[Path]
    symbols: list[Path]
    own: list[Path]
    images: list[Path]
    """Object and debug files."""
    others: list[Path]
    """Cores and microdumps."""


def targets(seeds: Seeds, scratch: Path) -> dict[str, Callable[[random.Random], Input]]:
    """The targets by name; each writes its inputs into `scratch`."""
    plain = [file for file in seeds.own if file.suffix == ".dmp"]
    own = plain or seeds.dumps
    compressed = [file for file in seeds.own if file.suffix == ".zst"]
    return {
        "dump": lambda chance: _dump(seeds.dumps, scratch, chance),
        "symbols": lambda chance: _symbols(seeds, scratch, chance),
        "own": lambda chance: _streams(own + seeds.dumps, stream_damaged, scratch, chance),
        "json": lambda chance: _streams(own, otherwise_said, scratch, chance),
        "large": lambda chance: _large(own, scratch, chance),
        "packed": lambda chance: _packed(compressed, own, scratch, chance),
        "session": lambda chance: _dump(own + seeds.dumps, scratch, chance, "session"),
        "files": lambda chance: _file(seeds.images + seeds.symbols, scratch, chance, "symbols"),
        "convert": lambda chance: _file(seeds.others + own, scratch, chance, "convert"),
    }


def _dump(dumps: list[Path], scratch: Path, chance: random.Random, way: str = "analyze") -> Input:
    return _written(scratch, damaged(chance.choice(dumps).read_bytes(), chance), way=way)


def _file(files: list[Path], scratch: Path, chance: random.Random, way: str) -> Input:
    """A damaged file; the name tells nothing of what it was."""
    data = damaged(chance.choice(files).read_bytes(), chance)
    return _written(scratch, data, ".bin", way=way)


def _symbols(seeds: Seeds, scratch: Path, chance: random.Random) -> Input:
    """A whole dump, with a damaged symbol file that may belong to it."""
    source = chance.choice(seeds.symbols)
    near = [
        dump for dump in seeds.dumps if dump.parts[:-2] == source.parts[: len(dump.parts) - 2]
    ] or seeds.dumps
    target = scratch / "symbols" / source.name
    target.parent.mkdir(exist_ok=True)
    for old in target.parent.iterdir():
        old.unlink()
    head, newline, rest = source.read_bytes().partition(b"\n")
    target.write_bytes(head + newline + damaged(rest or b"\n", chance))
    return Input(chance.choice(near), target.parent)


def _streams(
    dumps: list[Path],
    change: Callable[[bytes, random.Random], bytes],
    scratch: Path,
    chance: random.Random,
) -> Input:
    return _written(scratch, change(chance.choice(dumps).read_bytes(), chance))


def _large(dumps: list[Path], scratch: Path, chance: random.Random) -> Input:
    data = _any_damage(chance.choice(dumps).read_bytes(), chance)
    return _written(scratch, data, max_whole_bytes=chance.choice(_SMALL_LIMITS))


def _packed(
    compressed: list[Path], dumps: list[Path], scratch: Path, chance: random.Random
) -> Input:
    way = chance.random()
    if way < 0.5 and compressed:
        data = damaged(chance.choice(compressed).read_bytes(), chance)
    else:
        data = packed(_any_damage(chance.choice(dumps).read_bytes(), chance))
        if way > 0.98:  # they take long
            data += bomb(chance)
        elif way > 0.9:
            data = damaged(data, chance)
    limit = chance.choice((*_SMALL_LIMITS, None))
    return _written(scratch, data, ".dmp.zst", max_whole_bytes=limit)


def _any_damage(data: bytes, chance: random.Random) -> bytes:
    return chance.choice((damaged, stream_damaged))(data, chance)


def _written(
    scratch: Path,
    data: bytes,
    suffix: str = ".dmp",
    *,
    max_whole_bytes: int | None = None,
    way: str = "analyze",
) -> Input:
    file = scratch / f"input{suffix}"
    file.write_bytes(data)
    return Input(file, max_whole_bytes=max_whole_bytes, way=way)

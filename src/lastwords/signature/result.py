"""What a signature is: the text for people, the keys that group, the notes that explain."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from enum import Enum

__all__ = ["Key", "KeyKind", "Note", "SignatureResult", "digest"]


class KeyKind(str, Enum):
    """What a key was made from."""

    STACK = "stack"
    SIGNATURE = "signature"
    ADDRESS = "address"
    MESSAGE = "message"
    REASON = "reason"


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """One exact key: reports with an equal key belong to one issue."""

    kind: KeyKind
    hash: str
    version: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """One step of the way to a signature, for people."""

    step: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SignatureResult:
    """A signature, the hashes under it, and how they came about.

    Args:
        text: Readable, at most 255 characters: `parts` joined by ` | `.
        parts: The crash reason, then the functions that the signature names.
        quality: 0 to 1: the share of the parts that are trusted, named and the application's.
        is_groupable: The text alone may group reports: it names code of the application.
        stack_hash: Of up to 16 normalised frames; `None` when too little has a name.
        addr_hash: Of build ids and offsets, for stacks without symbols; changes with every build.
        msg_hash: Of the parameterised message; `None` without a message.
        has_stack: Some frame of the crashing thread is known.
        notes: One per step.
        version: The algorithm's.
    """

    text: str
    parts: tuple[str, ...]
    quality: float
    is_groupable: bool
    stack_hash: str | None
    addr_hash: str | None
    msg_hash: str | None
    has_stack: bool
    notes: tuple[Note, ...]
    version: str

    @property
    def keys(self) -> tuple[Key, ...]:
        """Return the keys that may group this report, the strongest first; never empty.

        Without a name of the application, only addresses group; without those, the message; and
        what has nothing at all shares one key per reason.
        """
        keys = [
            Key(kind=kind, hash=value, version=self.version)
            for kind, value in (
                (KeyKind.STACK, self.stack_hash),
                (KeyKind.SIGNATURE, digest(self.version, self.text) if self.is_groupable else None),
                (KeyKind.ADDRESS, self.addr_hash),
            )
            if value is not None
        ]
        if not keys and self.msg_hash is not None:
            keys.append(self._key(KeyKind.MESSAGE, self.text, self.msg_hash))
        return tuple(keys) or (self._key(KeyKind.REASON, self.text),)

    def _key(self, kind: KeyKind, *parts: str) -> Key:
        return Key(kind=kind, hash=digest(self.version, *parts), version=self.version)


def digest(version: str, *parts: str) -> str:
    """Return 32 hexadecimal digits of SHA-256 over the version and length-prefixed parts."""
    state = hashlib.sha256(version.encode())
    for part in parts:
        data = part.encode("utf-8", "surrogatepass")
        state.update(len(data).to_bytes(8, "little") + data)
    return state.hexdigest()[:32]

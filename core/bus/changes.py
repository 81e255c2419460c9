"""What the embedded bus asks of its journal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

OVERHEAD = 256  # what a message takes on the disk beside its value, in bytes, about
OFFSET_BITS = 40


@dataclass(slots=True, eq=False)
class Stream:
    """One partition of one topic. Messages before `first` are gone, `next` is the next offset to be written."""

    number: int
    topic: str
    partition: int
    first: int
    next: int

    def id(self, offset: int) -> int:
        """The row id of a message."""
        return self.number << OFFSET_BITS | offset


@dataclass(frozen=True, slots=True)
class Append:
    """Messages to write: stream, headers as JSON, value. `size` is what they will take, in bytes."""

    messages: Sequence[tuple[Stream, str, bytes]]
    size: int


@dataclass(frozen=True, slots=True)
class Advance:
    """A group's new progress: the next offset it will read, by stream. Going back is ignored."""

    group: str
    next_offsets: Mapping[Stream, int]


@dataclass(frozen=True, slots=True)
class Register:
    """A group that reads `topics` from now on: what it has not read is kept for it."""

    group: str
    topics: Sequence[str]


Change = Append | Advance | Register

"""What a feed tells its slot: the last position up to which all is processed or filtered out.

    given to the program:   U1      U4
    filtered out:              2 3     5       acknowledge(U1): 3 · acknowledge(U4): 5

A position that was filtered out goes with the update before it. So a feed whose updates are all filtered out
moves its slot, too.
"""

from __future__ import annotations

from replicad.types import Position


class Acknowledgements:
    def __init__(self) -> None:
        self.done: Position | None = None
        """All up to it is processed."""
        self.sent: Position | None = None
        self._given: Position | None = None
        self._skipped: Position | None = None

    def gave(self, position: Position) -> None:
        """The program has this update now."""
        self._given, self._skipped = position, None

    def skipped(self, position: Position) -> None:
        """This update was filtered out."""
        self._skipped = position
        if self._is_done(self._given):
            self._move(position)

    def acknowledge(self, position: Position) -> None:
        """The program has processed everything up to this position. Older ones change nothing."""
        if self.done is not None and position.sequence <= self.done.sequence:
            return
        self._move(position)
        if self._skipped is not None and self._is_done(self._given):
            self._move(self._skipped)

    @property
    def pending(self) -> Position | None:
        """What the slot does not know yet."""
        return None if self.done == self.sent else self.done

    def _is_done(self, position: Position | None) -> bool:
        if position is None:
            return True
        return self.done is not None and self.done.sequence >= position.sequence

    def _move(self, position: Position) -> None:
        if self.done is None or position.sequence > self.done.sequence:
            self.done = position

"""Which blocks of a table LZ4 is tried on: `CompressionTries`, a pure function of the blocks before.

Trying costs 0.2 to 0.5 ns for each random byte, of the 1.2 to 1.6 that a compaction takes. So after a row of
blocks that did not become smaller only some are tried, and a block that a compaction read as it was, because
LZ4 had not made it smaller, counts as known. The same blocks always give the same table.
"""

from __future__ import annotations

MISSES_BEFORE_PAUSE = 4
PAUSE_BLOCKS_MAX = 15
"""At least every 16th block is tried: where values begin to compress, as few are missed."""
KNOWN_EVERY = 32
"""So often a known block is tried all the same: its writer may have passed it over untried."""


class CompressionTries:
    """Of one table, block after block: `wanted`, and `tried` after each that was wanted."""

    def __init__(self) -> None:
        self._misses = 0
        """Tried in a row, without becoming smaller."""
        self._passed_over = 0
        """How many blocks go by before the next is tried."""
        self._known = 0
        self._known_is_true = True

    def wanted(self, *, known: bool) -> bool:
        """Whether to try the next block; `known`: all it holds was stored as it is after LZ4 was tried."""
        if known and self._known_is_true:
            self._known += 1
            return self._known % KNOWN_EVERY == 0
        if self._passed_over:
            self._passed_over -= 1
            return False
        return True

    def tried(self, *, known: bool, smaller: bool) -> None:
        if known and self._known_is_true:
            # What was known of one block was wrong: nothing is taken from it for the rest of this table.
            self._known_is_true = not smaller
        elif smaller:
            self._misses = 0
        else:
            self._misses += 1
            if self._misses >= MISSES_BEFORE_PAUSE:
                pause = 2 ** (self._misses - MISSES_BEFORE_PAUSE + 1) - 1
                self._passed_over = min(pause, PAUSE_BLOCKS_MAX)

"""Who needs log, all together."""

from __future__ import annotations

import pytest

from replicad.daemon.data.holds import AllHolds
from replicad.store.holds.log_holds import HeldSegment


class Hold:
    def __init__(self, oldest: int | None) -> None:
        self.oldest = oldest
        self.enforced: list[tuple[int, int, int]] = []

    def oldest_needed(self) -> int | None:
        return self.oldest

    def enforce(self, files: list[HeldSegment], newest: int, flushed: int, short_bytes: int, /) -> None:
        self.enforced.append((newest, flushed, short_bytes))


@pytest.mark.parametrize(
    ("each", "together"),
    [((), None), ((None, None), None), ((7, None), 7), ((9, 3, 5), 3), ((0, 4), 0)],
)
def test_the_oldest_that_anybody_needs_stays(each: tuple[int | None, ...], together: int | None) -> None:
    assert AllHolds(Hold(oldest) for oldest in each).oldest_needed() == together


def test_each_is_told_when_room_is_short() -> None:
    holds = [Hold(1), Hold(None)]
    AllHolds(holds).enforce([], 9, 8, 7)
    assert [hold.enforced for hold in holds] == [[(9, 8, 7)]] * 2

"""How much a connection of a bootstrap has under way: the decision, and windows over simulated links."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

import pytest

from replicad.options import MIB
from replicad.replication.copy.copy_window import PIECES_MAX, CopyWindow, CopyWindows, window_bytes

GIGABIT = 125_000_000


@dataclass
class Link:
    """Connections to one primary, which answers them one message at a time; they share its rate."""

    windows: CopyWindows
    delay_seconds: float
    bytes_per_second: float
    busy_until: float = 0.0
    """When the primary can send the next piece; at first, how long it does not answer at all."""
    piece_bytes: int = MIB
    now: float = 0.0
    received_bytes: int = 0
    most_bytes: int = 0
    """What was under way at most, over all connections."""
    answers: dict[CopyWindow, deque[float]] = field(default_factory=dict)

    def join(self) -> CopyWindow:
        window = self.windows.of(len(self.answers))
        self.answers[window] = deque()
        self._ask(window)
        return window

    def run(self, seconds: float) -> float:
        """Bytes a second."""
        begun, before = self.now, self.received_bytes
        while self.now < begun + seconds:
            window = min(self.answers, key=lambda window: self.answers[window][0])
            self.now = self.answers[window].popleft()
            window.received(self.piece_bytes, self.now)
            self.received_bytes += self.piece_bytes
            self._ask(window)
        return (self.received_bytes - before) / (self.now - begun)

    def _ask(self, window: CopyWindow) -> None:
        while window.admits(self.now):
            window.asked(self.piece_bytes, self.now)
            arrives_at = self.now + self.delay_seconds / 2
            self.busy_until = max(self.busy_until, arrives_at) + self.piece_bytes / self.bytes_per_second
            self.answers[window].append(self.busy_until + self.delay_seconds / 2)
            self.most_bytes = max(self.most_bytes, self.windows.under_way_bytes)


def link(
    delay_seconds: float, bytes_per_second: float, *, bytes_max: int = 64 * MIB, busy_until: float = 0.0
) -> Link:
    return Link(CopyWindows(bytes_max), delay_seconds, bytes_per_second, busy_until)


@pytest.mark.parametrize(
    ("rate", "delay", "most", "expected"),
    [
        # Nothing is measured: a fixed window, within the bound.
        (None, None, 64 * MIB, 8 * MIB),
        (1e9, None, 64 * MIB, 8 * MIB),
        (None, 0.1, 64 * MIB, 8 * MIB),
        (None, None, 3 * MIB, 3 * MIB),
        # Twice what the link holds.
        (80e6, 0.1, 64 * MIB, 16_000_000),
        (125e6, 0.05, 64 * MIB, 12_500_000),
        # Never less than some pieces, nor more than the bound, which prevails.
        (125e6, 0.0005, 64 * MIB, 2 * MIB),
        (1e3, 0.0, 64 * MIB, 2 * MIB),
        (1e9, 0.1, 64 * MIB, 64 * MIB),
        (1e9, 0.1, MIB, MIB),
        (1e3, 0.1, MIB, MIB),
    ],
)
def test_a_window_is_twice_what_the_link_holds(
    rate: float | None, delay: float | None, most: int, expected: int
) -> None:
    """At least the least, at most the most."""
    assert window_bytes(rate, delay, least=2 * MIB, most=most) == expected


@pytest.mark.parametrize(
    ("delay", "rate", "least", "most"),
    [
        (0.1, GIGABIT, 24e6, 30e6),
        (0.05, GIGABIT, 12e6, 16e6),
        (0.02, GIGABIT, 4e6, 8e6),
        (0.0002, GIGABIT, 2 * MIB, 4 * MIB),
        (0.1, 1e6, 2 * MIB, 4 * MIB),
        (0.1, 250e6, 50e6, 56e6),
        (1.0, 20e6, 40e6, 45e6),
    ],
)
def test_a_window_fills_its_link_and_not_much_more(
    delay: float, rate: float, least: float, most: float
) -> None:
    """After a minute, whatever the delay and the rate, and though it closes at times to measure the delay."""
    run = link(delay, rate)
    window = run.join()
    run.run(60)
    assert run.run(60) > 0.93 * rate
    sizes = []
    for _ in range(300):
        run.run(0.1)
        sizes.append(window.bytes_max(run.now))
    assert all(size == 0 or least <= size <= most for size in sizes), sorted(set(sizes))


def test_a_window_doubles_with_each_delay() -> None:
    """From 8 MiB: a long fat link is full within a second."""
    run = link(0.1, 400e6)
    run.join()
    run.run(1.0)
    assert run.run(1.0) > 0.9 * 400e6


def test_the_bound_limits_the_window() -> None:
    """A link that holds more than the bound is not filled."""
    run = link(0.2, 1e9, bytes_max=32 * MIB)
    run.join()
    assert 0.9 * 32 * MIB / 0.2 < run.run(9) < 1.01 * 32 * MIB / 0.2
    assert run.most_bytes == 32 * MIB


def test_connections_share_the_bound() -> None:
    """While others join too: beyond it a connection that joins has one piece."""
    run = link(0.2, 1e9, bytes_max=32 * MIB)
    for joined in range(8):
        run.join()
        assert run.run(3) > 0.7 * 32 * MIB / 0.2, joined
    assert run.most_bytes <= 33 * MIB
    assert run.windows.share_bytes == 4 * MIB
    for connection in range(1, 8):
        run.windows.release(connection)
    assert run.windows.share_bytes == 32 * MIB


def test_a_connection_that_joins_a_full_window_asks_for_one_piece() -> None:
    """Or it would wait for an answer that nobody asked for."""
    windows = CopyWindows(4 * MIB)
    first, second = windows.of("a"), windows.of("b")
    for window, pieces in ((first, 2), (second, 2)):
        for _ in range(pieces):
            assert window.admits(0.0)
            window.asked(MIB, 0.0)
        assert not window.admits(0.0)
    third = windows.of("c")
    assert third.admits(0.0)
    third.asked(MIB, 0.0)
    assert not third.admits(0.0)


def test_a_primary_that_answers_slowly_at_first_is_measured_again() -> None:
    """The delay of its first answer is forgotten, and with it the window that it needed."""
    run = link(0.01, GIGABIT, busy_until=5.0)
    window = run.join()
    run.run(120)
    assert window.bytes_max(run.now) <= 5 * MIB
    assert run.run(10) > 0.95 * GIGABIT


def test_a_throttle_that_changes_is_followed() -> None:
    """Within seconds, down and up again."""
    run = link(0.1, GIGABIT)
    window = run.join()
    run.run(5)
    run.bytes_per_second = 2e6
    run.run(30)
    assert window.bytes_max(run.now) <= 3 * MIB
    run.bytes_per_second = GIGABIT
    run.run(5)
    assert run.run(5) > 0.95 * GIGABIT


def test_a_clock_that_stands_still_measures_nothing() -> None:
    """The window stays as it began, and a copy goes on."""
    windows = CopyWindows(64 * MIB)
    window = windows.of("a")
    for _ in range(1000):
        while window.admits(7.0):
            window.asked(MIB, 7.0)
        assert window.under_way_bytes == 8 * MIB
        window.received(MIB, 7.0)


def test_messages_of_a_piece_are_one_answer() -> None:
    """The first measures the delay, however long the rest takes."""
    window = CopyWindows(64 * MIB).of("a")
    window.asked(MIB, 0.0)
    for number in range(4):
        window.received(MIB // 4, 0.1 + number)
    assert window.delay_seconds == 0.1
    assert window.under_way_bytes == 0 and window.admits(5.0)


def test_requests_for_small_files_are_bounded() -> None:
    """A list of countless tiny files does not fill the primary with requests."""
    window = CopyWindows(64 * MIB).of("a")
    asked = 0
    while window.admits(0.0):
        window.asked(1, 0.0)
        asked += 1
    assert asked == PIECES_MAX

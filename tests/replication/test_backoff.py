"""How long a replica or a link waits before it asks again."""

from __future__ import annotations

import random

from replicad.replication.backoff import backoff_seconds
from replicad.replication.options import ReplicationOptions
from tests.support.inline_runner import SeededRandom


def test_each_wait_is_longer_until_the_longest() -> None:
    options = ReplicationOptions(backoff_seconds_min=1.0, backoff_seconds_max=60.0)
    seed = random.SystemRandom().randrange(1 << 32)
    chance = SeededRandom(seed)
    for attempts, longest in ((1, 1), (2, 2), (3, 4), (6, 32), (7, 60), (100_000, 60)):
        waits = [backoff_seconds(attempts, options, chance) for _ in range(20)]
        assert all(longest / 2 <= each <= longest for each in waits), f"seed {seed}: {waits}"
        assert len(set(waits)) > 1, f"seed {seed}"

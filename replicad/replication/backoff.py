"""How long a replica or a link waits before it asks the other node again."""

from __future__ import annotations

from replicad.env.random import Random
from replicad.replication.options import ReplicationOptions


def backoff_seconds(attempts: int, options: ReplicationOptions, random: Random) -> float:
    """Before the next session, after attempts that brought nothing. Jitter over the upper half: nodes that
    lost the same one do not all come back at once."""
    # The exponent is bounded because after a thousand attempts the product would not fit a float.
    ceiling = options.backoff_seconds_min * 2 ** min(attempts - 1, 20)
    ceiling = min(ceiling, options.backoff_seconds_max)
    return random.uniform(ceiling / 2, ceiling)

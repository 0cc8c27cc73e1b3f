"""What befalls the cluster, round after round, drawn from a seed before anything begins."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from enum import Enum


class Expected(Enum):
    """Of a round."""

    ANOTHER = "another node leads, in a higher epoch"
    SAME = "the same node leads, in the same epoch"
    EITHER = "either of them"


WEIGHTS: Mapping[str, tuple[int, Expected]] = {
    "kill": (10, Expected.ANOTHER),
    "restart": (1, Expected.EITHER),
    "stop": (3, Expected.ANOTHER),
    "end": (2, Expected.ANOTHER),
    "switchover": (2, Expected.ANOTHER),
    "lean-switchover": (1, Expected.ANOTHER),
    "no-etcd": (2, Expected.SAME),
    "no-replicas": (1, Expected.SAME),
    "alone": (2, Expected.ANOTHER),
    "etcd-down": (2, Expected.SAME),
    "etcd-restart": (1, Expected.SAME),
    "sick": (1, Expected.SAME),
    "sick-kill": (2, Expected.ANOTHER),
}
"""How often each is drawn, and what has to come of it:

kill            kill -9 of the primary; it is started again once another node has acknowledged a write
restart         kill -9 of the primary; it is started again at once
stop            the primary stands still (SIGSTOP) for longer than the lease
end             SIGTERM of the primary
switchover      `replicad switchover`
lean-switchover the same while the other replica is down
no-etcd         the primary's cable to etcd is pulled for longer than the lease
no-replicas     the primary's cable to the other nodes is pulled: it leads, and acknowledges nothing
alone           both are pulled
etcd-down       all members of etcd stand still, or are dead, for longer than the lease
etcd-restart    all members of etcd are killed, and started again at once
sick            a member of etcd takes connections and answers nothing
sick-kill       kill -9 of the primary meanwhile
"""
KINDS = tuple(WEIGHTS)
WITH_CABLES = frozenset({"no-etcd", "no-replicas", "alone"})
KILLS = frozenset({"kill", "sick-kill"})
"""How long these take is promised."""


def draw_plan(seed: int, rounds: int, kinds: Sequence[str] = KINDS) -> list[str]:
    """Each kind once, if there are so many rounds; the others by weight."""
    draw = random.Random(f"failover {seed}")
    once = draw.sample(kinds, len(kinds))[:rounds]
    rest = draw.choices(kinds, [WEIGHTS[kind][0] for kind in kinds], k=rounds - len(once))
    return draw.sample([*once, *rest], rounds)

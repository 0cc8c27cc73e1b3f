"""Who waits for acknowledgements."""

from __future__ import annotations

import asyncio

from replicad.replication.primary.waits import Waits
from replicad.replication.wire.messages import Ack
from tests.support.waiting import until


async def test_a_wait_leaves_nothing_behind() -> None:
    """Neither one that was satisfied, nor one whose time was over, nor one that was given up: where no
    replicas are, nothing else would ever clear them away."""
    acknowledged: list[tuple[str, str, Ack]] = []
    waits = Waits(lambda: acknowledged, lambda sequence: None)
    assert await waits.wait("durable", 1, 5, 0.001) == []
    assert not waits._waiters
    begun = [asyncio.ensure_future(waits.wait("durable", 1, 5, None)) for _ in range(2)]
    await until(lambda: len(waits._waiters) == 2)
    begun[0].cancel()
    await asyncio.gather(begun[0], return_exceptions=True)
    assert len(waits._waiters) == 1
    acknowledged.append(("r", "", Ack(5, 5, 5)))
    waits.changed()
    assert await begun[1] == ["r"]
    assert not waits._waiters

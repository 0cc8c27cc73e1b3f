"""One question about a failover to each of several nodes at once, over their replication ports."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from replicad.env.events import get_logger
from replicad.errors import ReplicadError
from replicad.net.addresses import Address
from replicad.net.doors import Door
from replicad.replication.wire.introduction import exchange
from replicad.replication.wire.messages import Message, Refuse

log = get_logger("replicad.daemon")


async def ask_each(
    where: Mapping[str, Address], question: Message, *, seconds: float, door: Door
) -> dict[str, Message | str]:
    """The answer of each node, by its id; a text is why there is none, or why it refuses."""

    async def one(address: Address) -> Message | str:
        try:
            answer = await exchange(*address, question, seconds=seconds, door=door)
        except (OSError, ReplicadError) as error:
            return f"{address} does not answer: {error}"
        return f"{address}: {answer.reason}" if isinstance(answer, Refuse) else answer

    nodes = sorted(where)
    answers = await asyncio.gather(*(one(where[node]) for node in nodes))
    return dict(zip(nodes, answers, strict=True))

"""One question about a failover to each of several nodes at once, over their replication ports."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

from replicad.env.events import get_logger
from replicad.errors import ReplicadError
from replicad.net.addresses import Address
from replicad.net.doors import Door
from replicad.replication.wire.introduction import exchange
from replicad.replication.wire.messages import Message, Refuse

log = get_logger("replicad.daemon")

GRACE_SECONDS = 0.1
"""For nodes that answer at once, when those that are needed have answered. What another one has more was
never acknowledged, but if it is not fetched, that node has to discard it."""


async def ask_each(
    where: Mapping[str, Address],
    question: Message,
    *,
    seconds: float,
    door: Door,
    is_enough: Callable[[Mapping[str, Message | str]], bool] = lambda answers: False,
) -> dict[str, Message | str]:
    """The answer of each node, by its id; a text is why there is none, or why it refuses. Once `is_enough`
    says so of the answers that have come, the others have GRACE_SECONDS."""

    async def one(address: Address) -> Message | str:
        try:
            answer = await exchange(*address, question, seconds=seconds, door=door)
        except (OSError, ReplicadError) as error:
            return f"{address} does not answer: {error}"
        return f"{address}: {answer.reason}" if isinstance(answer, Refuse) else answer

    asked = {node: asyncio.ensure_future(one(where[node])) for node in sorted(where)}
    answers: dict[str, Message | str] = {}
    try:
        seconds_left: float | None = None
        while len(answers) < len(asked):
            if seconds_left is None and is_enough(answers):
                seconds_left = GRACE_SECONDS
            waiting = [task for node, task in asked.items() if node not in answers]
            first = asyncio.ALL_COMPLETED if seconds_left is not None else asyncio.FIRST_COMPLETED
            await asyncio.wait(waiting, timeout=seconds_left, return_when=first)
            answers |= {node: task.result() for node, task in asked.items() if task.done()}
            if seconds_left is not None:
                break
        return answers
    finally:
        for task in asked.values():
            task.cancel()

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


async def ask_each(
    where: Mapping[str, Address],
    question: Message,
    *,
    seconds: float,
    door: Door,
    is_enough: Callable[[Mapping[str, Message | str]], bool] = lambda answers: False,
) -> dict[str, Message | str]:
    """The answer of each node, by its id; a text is why there is none, or why it refuses. Does not wait for
    more once `is_enough` says so of the answers that have come."""

    async def one(address: Address) -> Message | str:
        try:
            answer = await exchange(*address, question, seconds=seconds, door=door)
        except (OSError, ReplicadError) as error:
            return f"{address} does not answer: {error}"
        return f"{address}: {answer.reason}" if isinstance(answer, Refuse) else answer

    asked = {node: asyncio.ensure_future(one(where[node])) for node in sorted(where)}
    answers: dict[str, Message | str] = {}
    try:
        while len(answers) < len(asked) and not is_enough(answers):
            waiting = [task for node, task in asked.items() if node not in answers]
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            answers |= {node: task.result() for node, task in asked.items() if task.done()}
        return answers
    finally:
        for task in asked.values():
            task.cancel()

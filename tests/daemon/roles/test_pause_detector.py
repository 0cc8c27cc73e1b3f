"""What a primary believes of others; nothing, above all, that it heard before it stood still."""

from __future__ import annotations

import asyncio

from replicad.replication.policy.roles import Standing
from replicad.replication.wire.messages import StandingMessage
from tests.support.nodes.doubting import Primary, told


async def doubting() -> tuple[Primary, asyncio.Future[list[StandingMessage]]]:
    """A primary that stood still once, and the round of questions that it waits for."""
    primary = Primary()
    primary.stand_still()
    primary.pauses.check()
    assert primary.standing.current is Standing.DOUBTING
    return primary, await primary.peers.rounds.get()


async def ended(primary: Primary) -> None:
    assert primary.confirming is not None
    async with asyncio.timeout(5):
        await primary.confirming


async def test_an_answer_ends_the_doubt() -> None:
    """Somebody of this epoch answers: the node goes on as the primary."""
    primary, answers = await doubting()
    answers.set_result([told(1, Standing.FOLLOWING)])
    await ended(primary)
    assert primary.standing.current is Standing.PRIMARY


async def test_an_answer_from_before_the_newest_standstill_is_not_believed() -> None:
    """The node stands still again while it waits, and finds that out by itself when it has the answers: it
    asks again, and hears of the primary that began meanwhile."""
    primary, answers = await doubting()
    primary.stand_still()
    answers.set_result([told(1, Standing.FOLLOWING)])
    async with asyncio.timeout(5):
        again = await primary.peers.rounds.get()
    assert primary.standing.current is Standing.DOUBTING
    again.set_result([told(2, Standing.PRIMARY)])
    await ended(primary)
    assert primary.standing.current.value == "fenced"


async def test_a_standstill_that_somebody_else_noticed_counts_as_well() -> None:
    """A client's write has the node look at its clock before the answers are looked at."""
    primary, answers = await doubting()
    primary.stand_still()
    primary.pauses.check()
    answers.set_result([told(1, Standing.FOLLOWING)])
    async with asyncio.timeout(5):
        again = await primary.peers.rounds.get()
    again.set_result([told(1, Standing.FOLLOWING)])
    await ended(primary)
    assert primary.standing.current is Standing.PRIMARY

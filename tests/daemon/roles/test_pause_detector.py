"""What a primary believes of others; nothing, above all, that it heard before it stood still."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from replicad.daemon.config import load_primary
from replicad.daemon.ports.replication_port import ReplicationPort
from replicad.daemon.process.supervise import StopRequest
from replicad.daemon.program import NodeProgram
from replicad.daemon.records import node_state
from replicad.daemon.roles.pause_detector import PauseDetector
from replicad.env import Env
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


async def test_a_start_that_takes_long_is_no_pause() -> None:
    """From the moment that it answers anybody, the node looks at its clock."""
    primary = Primary(answers=False)
    primary.stand_still()
    primary.pauses.check()
    primary.stand_still()
    primary.pauses.begin()
    primary.pauses.check()
    assert primary.standing.current is Standing.PRIMARY

    # The data is exchanged: it begins once.
    primary.stand_still()
    primary.pauses.begin()
    primary.pauses.check()
    assert primary.standing.current.value == "doubting"
    assert primary.confirming is not None
    primary.confirming.cancel()


async def test_a_node_that_answers_looks_at_its_clock(tmp_path: Path) -> None:
    """Before replicas and clients are let in."""
    seen: list[bool] = []

    async def accept(port: ReplicationPort) -> None:
        seen.append(node_pauses[0]._alive_at is not None)

    node_pauses: list[PauseDetector] = []
    config = load_primary(None, data=tmp_path / "p", listen=":0", replication=":0")
    async with node_state(Env(), config.data) as records:
        program = NodeProgram(config, Env(), records, StopRequest())
        node_pauses.append(program.parts.pauses)
        assert program.parts.pauses._alive_at is None
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(ReplicationPort, "accept", accept)
            await program.start()
        await program.close()
    assert seen == [True]


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

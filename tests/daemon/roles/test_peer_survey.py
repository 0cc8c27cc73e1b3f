"""What a node does about another that it heard of."""

from __future__ import annotations

import pytest

from replicad.replication.policy.roles import Standing
from replicad.replication.wire.messages import StandingMessage
from tests.support.nodes.doubting import Primary, told


@pytest.mark.parametrize(
    ("answer", "where"),
    [
        (told(2, Standing.PRIMARY), ("127.0.0.1:7001", "127.0.0.1:7002")),
        (told(2, Standing.FOLLOWING, "127.0.0.1:8001"), ("127.0.0.1:8001", "")),
        (told(2, Standing.PROMOTING, "127.0.0.1:6001"), ("", "")),
    ],
)
async def test_whom_a_fenced_node_is_sent_to(answer: StandingMessage, where: tuple[str, str]) -> None:
    """To the primary of the higher epoch, to whom its replica follows, and never to itself: a replica that is
    being promoted still names whom it followed."""
    primary = Primary()
    primary.survey.heard(answer)
    assert primary.standing.current is Standing.FENCED
    assert primary.where == where

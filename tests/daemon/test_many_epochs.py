"""A database that has been through more promotions than a message has room for."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import replicad.replication.wire.messages
from replicad.daemon.roles.promotion import STEP
from replicad.replication.policy.epoch_numbers import SEATS
from replicad.replication.wire.framing import MessageDecoder
from replicad.replication.wire.messages import EPOCHS_SENT_MAX, PositionClaim, decode, encode, newest_epochs
from replicad.types import Epoch, EpochRecord, HistoryHash, Position, Sequence
from tests.support.nodes.programs import again, primary, replica_of, streams
from tests.support.waiting import until


def test_a_message_tells_the_newest_epochs() -> None:
    """However many there were, it stays within the limits of a header."""
    last = (1 << 32) - 1
    position = Position(Epoch(last), Sequence((1 << 64) - 1), HistoryHash((1 << 64) - 1))
    epochs = tuple(EpochRecord(Epoch(last - 5000 + number), b"e" * 16, position) for number in range(5000))
    sent = newest_epochs(epochs)
    assert sent == epochs[-EPOCHS_SENT_MAX:]
    (raw,) = MessageDecoder(0).feed(b"".join(encode(PositionClaim(position, 0, sent))))
    assert decode(raw) == PositionClaim(position, 0, sent)


@pytest.mark.parametrize("diverged", [False, True])
async def test_a_replica_from_before_the_epochs_that_are_told_follows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, diverged: bool
) -> None:
    """The primary knows all of them: it says from where the log goes on, or where the histories fork. One
    that was a primary itself then hears of it too."""
    monkeypatch.setattr(replicad.replication.wire.messages, "EPOCHS_SENT_MAX", 2)
    async with primary(tmp_path / "p") as p:
        async with replica_of(p, tmp_path / "r") as r:
            await until(lambda: streams(r, b"p"))
            await until(lambda: r.peers.get(p.identity.node) is not None)
            if diverged:
                await r.promotion.promote(force=True)
                assert r.store is not None
                r.store.put(b"of", b"r")
        assert p.store is not None
        for _ in range(6):
            p.store.demote()
            p.store.promote(os.urandom(16), at_least=2 + STEP + SEATS)
        p.store.put(b"k", b"v")
        life = again(tmp_path / "r") if diverged else replica_of(p, tmp_path / "r")
        async with life as r:
            await until(lambda: r.store is not None and r.store.get(b"k") == b"v" and streams(r, b"p"))

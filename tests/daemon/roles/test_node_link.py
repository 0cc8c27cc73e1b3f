"""What a node remembers of the primaries that it followed."""

from __future__ import annotations

from replicad.daemon.roles.node_link import high_watermark_in
from replicad.replication.policy.roles import HighWatermark
from replicad.state import RoleRecord


def test_what_was_told_before_epochs_were_noted() -> None:
    """A record of then says it of the epoch in which it was written."""
    assert high_watermark_in(RoleRecord(role="replica", epoch=3, primary_sequence=7)) == HighWatermark(3, 7)
    assert high_watermark_in(
        RoleRecord(role="replica", epoch=3, primary_sequence=7, primary_epoch=2)
    ) == HighWatermark(2, 7)
    assert high_watermark_in(RoleRecord(role="replica", epoch=3)) is None

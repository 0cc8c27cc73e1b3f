"""What a node remembers of the primaries that it followed."""

from __future__ import annotations

from replicad.daemon.roles.node_link import told_in
from replicad.replication.policy.roles import Told
from replicad.state import RoleRecord


def test_what_was_told_before_epochs_were_noted() -> None:
    """A record of then says it of the epoch in which it was written."""
    assert told_in(RoleRecord(role="replica", epoch=3, primary_sequence=7)) == Told(3, 7)
    assert told_in(RoleRecord(role="replica", epoch=3, primary_sequence=7, primary_epoch=2)) == Told(2, 7)
    assert told_in(RoleRecord(role="replica", epoch=3)) is None

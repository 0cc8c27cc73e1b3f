"""What a node shows of itself from outside, and the few facts that have no other home. LMDB stays in here."""

from replicad.state.node import NodeState
from replicad.state.records import BootstrapProgress, NodeView, Peer, RoleRecord, Shown, Slot, Verification

__all__ = [
    "BootstrapProgress",
    "NodeState",
    "NodeView",
    "Peer",
    "RoleRecord",
    "Shown",
    "Slot",
    "Verification",
]

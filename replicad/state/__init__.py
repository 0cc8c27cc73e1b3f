"""What a node shows of itself from outside, and the few facts that have no other home. LMDB stays in here."""

from replicad.state.node import NodeState
from replicad.state.records import (
    BootstrapProgress,
    KnownPeer,
    NodeView,
    PauseRecord,
    RoleRecord,
    RuleRecord,
    Shown,
    Slot,
    VerificationRecord,
)

__all__ = [
    "BootstrapProgress",
    "KnownPeer",
    "NodeState",
    "NodeView",
    "PauseRecord",
    "RoleRecord",
    "RuleRecord",
    "Shown",
    "Slot",
    "VerificationRecord",
]

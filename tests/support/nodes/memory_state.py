"""A node's state without LMDB: every write is durable when it returns, whatever the node does then."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from replicad.env import Env
from replicad.state import (
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
from replicad.state.records import NodeRecord, decode, encode

NODE_ID_BYTES = 16


class MemoryNodeState:
    """What `NodeState` is, over `kept`, which outlives it. `before` may raise: then nothing is written."""

    def __init__(self, env: Env, kept: dict[bytes, bytes], before: Callable[[], None] = lambda: None) -> None:
        self._kept = kept
        self._before = before
        if b"node" not in kept:
            self._put(
                b"node", NodeRecord(node_id=env.random.bytes(NODE_ID_BYTES), created_us=env.clock.wall_us())
            )
        self.identity = decode(NodeRecord, kept[b"node"])

    @property
    def node_id(self) -> bytes:
        return self.identity.node_id

    def show(self, shown: Shown) -> None:
        self._put(b"shown", shown)

    def show_bootstrap(self, progress: BootstrapProgress | None) -> None:
        self._put(b"bootstrap", progress)

    def put_verification(self, verification: VerificationRecord) -> None:
        self._put(b"verification", verification)

    def put_pause(self, pause: PauseRecord | None) -> None:
        self._put(b"pause", pause)

    def put_slot(self, slot: Slot) -> None:
        self._put(b"slot/" + slot.node_id, slot)

    def remove_slot(self, node_id: bytes) -> None:
        self._put(b"slot/" + node_id, None)

    def put_role(self, role: RoleRecord) -> None:
        self._put(b"role", role)

    def put_rule(self, rule: RuleRecord | None) -> None:
        self._put(b"rule", rule)

    def put_peer(self, peer: KnownPeer) -> None:
        self._put(b"peer/" + peer.node_id, peer)

    def remove_peer(self, node_id: bytes) -> None:
        self._put(b"peer/" + node_id, None)

    def view(self) -> NodeView:
        return NodeView(
            identity=self.identity,
            shown=self._get(Shown, b"shown"),
            bootstrap=self._get(BootstrapProgress, b"bootstrap"),
            slots=tuple(self._all(Slot, b"slot/")),
            role=self._get(RoleRecord, b"role"),
            peers=tuple(self._all(KnownPeer, b"peer/")),
            verification=self._get(VerificationRecord, b"verification"),
            pause=self._get(PauseRecord, b"pause"),
            rule=self._get(RuleRecord, b"rule"),
        )

    def close(self) -> None:
        pass

    def _get(self, kind: type[Any], key: bytes) -> Any:
        data = self._kept.get(key)
        return None if data is None else decode(kind, data)

    def _all(self, kind: type[Any], prefix: bytes) -> list[Any]:
        return [decode(kind, self._kept[key]) for key in sorted(self._kept) if key.startswith(prefix)]

    def _put(self, key: bytes, record: Any) -> None:
        data = None if record is None else encode(record)
        self._before()
        if data is None:
            self._kept.pop(key, None)
        else:
            self._kept[key] = data

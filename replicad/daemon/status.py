"""The status document: everything that an operator asks of a node, as plain values for JSON.

Bytes, seconds and microseconds are in the last word of a name.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from replicad.daemon.data.node_data import NodeData
from replicad.daemon.data.verification import DataVerification
from replicad.daemon.open_store import OpenStore
from replicad.daemon.own_addresses import OwnAddresses
from replicad.daemon.own_standing import OwnStanding
from replicad.daemon.ports.client_port import ClientPort
from replicad.daemon.process import logs
from replicad.daemon.process.loop_lag import LoopLag
from replicad.daemon.roles.node_link import NodeLink
from replicad.daemon.roles.peer_survey import PeerSurvey
from replicad.daemon.roles.peers import Peers
from replicad.daemon.roles.role_memory import RoleMemory
from replicad.daemon.slot_status import feeds_document, slot_document
from replicad.env import Env
from replicad.replication.copy.transfer import Transfer
from replicad.replication.policy.slot_states import log_bytes_after
from replicad.replication.primary.node import PrimaryNode
from replicad.replication.primary.sender import Sender
from replicad.replication.primary.session import ReplicaSession
from replicad.replication.primary.slot_upkeep import SlotView
from replicad.replication.replica.follower import Follower
from replicad.replication.traffic import Traffic
from replicad.replication.wire.identify import Identity
from replicad.server import ReplicaView
from replicad.state import BootstrapProgress
from replicad.store.database import Database
from replicad.store.holds.log_holds import HeldSegment

Document = dict[str, Any]


class NodeStatus:
    """The whole document, out of the parts of the node."""

    def __init__(
        self,
        env: Env,
        identity: Identity,
        *,
        standing: OwnStanding,
        store: OpenStore,
        data: NodeData,
        memory: RoleMemory,
        peers: Peers,
        link: NodeLink,
        survey: PeerSurvey,
        verification: DataVerification,
        addresses: OwnAddresses,
        loop_lag: LoopLag,
        clients: ClientPort,
        traffic: Traffic,
        refused_http: Callable[[], Mapping[str, int]],
        security: Callable[[], Document],
        links: Callable[[], list[Document]],
        failover: Callable[[], Document | None] = lambda: None,
    ) -> None:
        self._failover = failover
        self._env = env
        self._identity = identity
        self._standing = standing
        self._store = store
        self._data = data
        self._memory = memory
        self._peers = peers
        self._link = link
        self._survey = survey
        self._verification = verification
        self._addresses = addresses
        self._loop_lag = loop_lag
        self._clients = clients
        self._traffic = traffic
        self._refused_http = refused_http
        self._security = security
        self._links = links

    def document(self) -> Document:
        store, feed, follower = self._store.database, self._store.feed, self._link.follower
        document = self._node_document()
        if store is not None:
            document |= store_document(store)
        if self._standing.role == "replica":
            document |= self._replica_document()
        document["verification"] = self._verification.document()
        document["backup"] = self._data.backups.document()
        document["log_archive"] = self._data.archiving.document()

        server = self._clients.server
        document["clients"] = None if server is None else server.document()
        if server is not None and store is not None and (no_room := server.state.group.no_room) is not None:
            # The store did not take the last write, and does not know whether it would take the next.
            document["store"]["refused"] = document["store"]["refused"] or f"the disk is full: {no_room}"
        document["traffic"] = self._traffic.document()
        document["refused_input"] = {
            "clients": {} if server is None else server.refused_input(),
            "replication": dict(self._traffic.refused),
            "http": dict(self._refused_http()),
        }

        document["links"] = self._links()
        document["failover"] = self._failover()
        document |= self._security()

        # Neither depends on the role: a replica serves other replicas, and a fenced node may have a link.
        if feed is not None and store is not None:
            document["synchronous"] = feed.waits.describe()
            document["copy_bytes_per_second"] = feed.copy_bytes_per_second
            document["replicas"] = replicas_document(self._env, feed, store)
            document["feeds"] = feeds_document(feed)
        if follower is not None:
            document["link"] = link_document(self._env, follower)
            document["bootstrap"] = bootstrap_document(self._env, follower)
        return document

    def _node_document(self) -> Document:
        discarded = self._data.discarded
        return {
            "role": self._standing.role,
            "standing": self._standing.current.value,
            "node_id": self._identity.node.hex(),
            "name": self._identity.name,
            "listen": self._addresses.clients,
            **self._addresses.bound,
            "database_id": None,
            "position": None,
            "fenced_by_epoch": self._memory.fenced_by,
            "clash": self._survey.clashes,
            "log_lines_dropped": logs.lines_dropped(),
            "event_loop": self._loop_lag.document(),
            "discarded": {"batches": discarded.batches, "files": list(discarded.files)},
            "peers": [
                {
                    "node_id": peer.node_id.hex(),
                    "replication": peer.replication,
                    "clients": peer.clients,
                    "away_seconds": peer.away_seconds,
                }
                for peer in self._peers
            ],
        }

    def _replica_document(self) -> Document:
        primary = self._memory.primary
        document: Document = {
            "primary": None if primary is None else str(primary),
            "primary_clients": self._memory.primary_clients,
            "path": [id.hex() for id in self._link.path],
            "link": {"state": "none", "waits_for": "a primary to be found"},
            "bootstrap": None,
            "last_bootstrap": self._link.last_bootstrap,
            "from_backup": self._link.from_backup and self._link.from_backup.where,
            "last_restore": self._link.last_restore,
        }
        if self._store.database is not None and self._link.follower is not None:
            document["lag_sequences"] = self._link.follower.ages.lag_sequences
        if self._store.apply is not None:
            document["apply"] = self._store.apply.document()
        return document


def replica_views(feed: PrimaryNode) -> list[ReplicaView]:
    """The connected replicas, as ROLE and INFO show them to Redis clients."""
    views = []
    for session in feed.sessions.values():
        host = session.connection.peer.rpartition(":")[0]
        _, _, port = session.hello.clients.rpartition(":")

        # While it fetches a copy it acknowledges nothing: what it had before is in its slot.
        slot = feed.slots.get(session.hello.node)
        acknowledged = 0 if slot is None else slot.sequence

        views.append(
            ReplicaView(
                node_id=session.hello.node.hex(),
                host=host,
                port=int(port) if port.isdigit() else 0,
                state="online" if session.sender is not None else "wait_bgsave",
                acknowledged_sequence=session.sender.ack.durable if session.sender else acknowledged,
                lag_seconds=int(session.sender.lag_seconds) if session.sender else 0,
            )
        )
    return views


def store_document(database: Database) -> Document:
    """What a node of either role says of its data."""
    # The newest position is shown only while readers see all of it; otherwise the durable one is.
    position = database.position if database.latest_sequence == database.appended_sequence else None
    shown = database.durable_position if position is None else position

    return {
        "database_id": database.database_id.hex(),
        "position": str(shown),
        "durable_position": str(database.durable_position),
        "applied_sequence": database.latest_sequence,
        "durable_sequence": database.durable_sequence,
        "epoch": shown.epoch,
        "durability": database.options.durability,
        "stalled": database.stalled,
        "failure": None if database.failed is None else str(database.failed),
        "log": {
            "first_sequence": database.oldest_log_sequence,
            "last_sequence": database.durable_sequence,
            "segments": len(files := database.get_sorted_wal_files()),
            "archived": sum(file.archived for file in files),
            "log_bytes": sum(file.size_bytes for file in files),
        },
        "store": database.stats(),
    }


def replicas_document(env: Env, node: PrimaryNode, database: Database) -> list[Document]:
    """One entry for each replica that is connected or has a slot."""
    now = env.clock.monotonic()
    views = node.upkeep.views()
    entries = [
        _session_document(now, node, session, database, views.get(session.hello.node))
        for session in node.sessions.values()
    ]

    # A replica that is not connected still costs log, and its operator wants to know since when.
    for view in views.values():
        slot = view.slot
        if not slot.is_feed and slot.node_id not in node.sessions:
            newest = node.newest.sequence
            entries.append(
                {
                    "node_id": slot.node_id.hex(),
                    "name": slot.name,
                    "state": "away",
                    "waits_for": "the replica to connect",
                    "durable_sequence": slot.sequence,
                    **(lag := _away_lag(node, view, newest, now)),
                    "stages": {"durable": {"sequence": slot.sequence, **lag}},
                    "seen_us": slot.seen_us,
                    "away_seconds": slot.idle_seconds,
                    **slot_document(view),
                }
            )
    return entries


def _away_lag(node: PrimaryNode, view: SlotView, newest: int, now: float) -> Document:
    sequence = view.slot.sequence
    return {
        "lag_sequences": max(0, newest - sequence),
        "lag_bytes": view.retained_bytes,
        "lag_seconds": round(node.upkeep.course.seconds_behind(sequence, newest, now), 3),
    }


def _session_document(
    now: float, node: PrimaryNode, session: ReplicaSession, database: Database, view: SlotView | None
) -> Document:
    document: Document = {
        "node_id": session.hello.node.hex(),
        "name": session.hello.name,
        "address": session.connection.peer,
        "state": session.state,
        "connected_seconds": round(now - session.connected_at, 3),
        **slot_document(view),
    }
    sender, server = session.sender, session.server

    # It streams, or it fetches a copy, or it has only said HELLO.
    if sender is not None:
        newest = node.newest.sequence
        files = database.get_sorted_wal_files()
        unsent = log_bytes_after(files, sender.sent, newest)
        held = max(sender.ack.applied, sender.ack.durable)
        document |= {
            "waits_for": sender.waits_for,
            "stages": _stages(node, sender, files, newest, now),
            "sent_sequence": sender.sent,
            "received_sequence": sender.ack.received,
            "applied_sequence": sender.ack.applied,
            "durable_sequence": sender.ack.durable,
            # Of one that applies late: what it has not received durably. `stages` say what it applied.
            "lag_sequences": max(0, newest - held),
            "lag_bytes": unsent + sender.window_bytes,
            "lag_seconds": round(node.upkeep.course.seconds_behind(held, newest, now), 3),
            "lag_batches": sender.lag_batches(newest),
            **{f"{level}_age_seconds": round(now - at, 3) for level, at in sender.moved_at.items()},
            "sent_bytes": sender.sent_bytes,
            **_verified_document(sender),
        }
    elif server is not None:
        copy = server.copy
        document |= {
            "waits_for": "the replica to fetch and verify the copy",
            "copy_position": str(copy.position),
            "copy_bytes": copy.size_bytes,
            "sent_bytes": copy.sent_bytes,
            "connections": 1 + len(server.connections),
        }
        if server.transfer is not None:
            document |= transfer_document(server.transfer, now)
    return document


def _stages(
    node: PrimaryNode, sender: Sender, files: Sequence[HeldSegment], newest: int, now: float
) -> Document:
    """How far the replica is behind, stage by stage."""
    ack, growth = sender.ack, node.upkeep.course
    reached = {"sent": sender.sent, "received": ack.received, "applied": ack.applied, "durable": ack.durable}
    return {
        stage: {
            "sequence": sequence,
            "lag_sequences": max(0, newest - sequence),
            "lag_bytes": log_bytes_after(files, sequence, newest),
            "lag_seconds": round(growth.seconds_behind(sequence, newest, now), 3),
        }
        for stage, sequence in reached.items()
    }


def transfer_document(transfer: Transfer, now: float) -> Document:
    """What is left of a copy to be moved, and how fast that goes."""
    left = transfer.seconds_left(now)
    return {
        "wanted_bytes": transfer.total_bytes,
        "moved_bytes": transfer.moved_bytes,
        "rate_bytes": round(transfer.bytes_per_second(now)),
        "eta_seconds": None if left is None else round(min(left, 1e9), 1),
    }


def _verified_document(sender: Sender) -> Document:
    """What the replica found in this session when it last compared its data with this node's."""
    if sender.answering is None or sender.answering.verified is None:
        return {}
    verified, at = sender.answering.verified
    return {
        "verified_sequence": verified.sequence,
        "verified_differences": verified.differences,
        "verified_age_seconds": round(asyncio.get_running_loop().time() - at, 3),
    }


def link_document(env: Env, follower: Follower) -> Document:
    """The replica's link: its state, what it waits for, how far ahead the primary is."""
    link, now = follower.link, env.clock.monotonic()
    document: Document = {
        "state": link.state,
        "waits_for": follower.waits_for,
        "for_seconds": round(now - link.since, 3),
        "attempts": link.attempts,
        "last_error": link.last_error,
        "primary_sequence": link.primary_sequence,
        "primary_sequence_age_seconds": _rounded(follower.ages.newest_age_seconds),
        "primary_clock_ahead_seconds": link.primary_clock_ahead_seconds,
        "primary_node_id": None if link.primary_node is None else link.primary_node.hex(),
    }

    # The code is for programs: it is there while the link waits for the operator.
    if link.stopped_code is not None:
        document["stopped_code"] = link.stopped_code

    # Lag is what this node has still to apply; staleness is how old a read may be.
    document["lag_seconds"] = _rounded(follower.ages.lag_seconds)
    document["received_lag_seconds"] = _rounded(follower.ages.received_lag_seconds)
    document["staleness_seconds"] = _rounded(follower.ages.staleness_seconds)
    document["stale_because"] = follower.ages.stale_because
    document["reads_refused"] = follower.ages.reads_refused
    if follower.receiver is not None:
        document["received_bytes"] = follower.receiver.received_bytes
    return document


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 3)


def bootstrap_document(env: Env, follower: Follower) -> Document | None:
    """The bootstrap or the restore that is under way. Rate and estimate count what this attempt fetches."""
    progress, fetcher, restoring = follower.progress, follower.fetcher, follower.restoring
    if progress is None:
        return None
    document = progress_document(progress)
    if fetcher is not None and fetcher.transfer is not None:
        document |= transfer_document(fetcher.transfer, env.clock.monotonic())
        document["connections"] = fetcher.connections
    if restoring is not None and restoring.transfer is not None:
        document |= transfer_document(restoring.transfer, env.clock.monotonic())
    return document


def progress_document(progress: BootstrapProgress) -> Document:
    return {
        "position": progress.position,
        "files": progress.files,
        "files_total": progress.files_total,
        "size_bytes": progress.size_bytes,
        "size_bytes_total": progress.size_bytes_total,
    }

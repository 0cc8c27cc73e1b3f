"""SENTINEL: who is primary, as Redis Sentinel says it.

Clients that know sentinels ask any node at its ordinary client port, and so follow a failover without a
proxy. Rows have the names and texts of Redis Sentinel, for what is known here; values are strings, as there.
"""

from __future__ import annotations

from replicad.server import replies
from replicad.server.client_state import ClientState
from replicad.server.commands.container import Container, Subcommand
from replicad.server.commands.table import Group
from replicad.server.interfaces import SentinelPeer, SentinelView
from replicad.server.requests import Request

sentinel = Group("sentinel")

Row = dict[str, replies.Value]

NOT_CONFIGURED = replies.error("ERR [failover] is not configured on this node: it knows no sentinels")
NO_SUCH_MASTER = replies.error("ERR No such master with that name")
NO_PRIMARY = replies.error("ERR No primary is known at the moment")
_PRIORITY = "100"
"""Redis's default: which replica comes next is not chosen by that here."""

_SENTINEL = Container(
    "sentinel",
    Subcommand("GET-MASTER-ADDR-BY-NAME <name>", "Returns host and port of the primary.", 1, 1),
    Subcommand("MASTERS", "Describes the primary, in an array."),
    Subcommand("MASTER <name>", "Describes the primary.", 1, 1),
    Subcommand("REPLICAS <name>", "Describes the replicas.", 1, 1),
    Subcommand("SLAVES <name>", "REPLICAS under its older name.", 1, 1),
    Subcommand("SENTINELS <name>", "Describes the other nodes that answer as sentinels.", 1, 1),
    Subcommand("CKQUORUM <name>", "Says whether enough nodes are there for a failover.", 1, 1),
    Subcommand("MYID", "Returns the id of this node."),
)


@sentinel.command("sentinel", -2, "Says who is primary, as Redis Sentinel does.", container=_SENTINEL)
def sentinel_(client: ClientState, request: Request) -> bytes:
    view, protocol = client.server.node.sentinel(), client.protocol
    if view is None:
        return NOT_CONFIGURED
    subcommand, primary = request[1].upper(), view.primary
    if subcommand == b"MYID":
        return replies.bulk(view.node_id.encode())
    if subcommand == b"MASTERS":
        return replies.encode([] if primary is None else [_primary_row(view, primary)], protocol)

    is_named = request[2] == view.service.encode()
    if subcommand == b"GET-MASTER-ADDR-BY-NAME":
        if primary is None or not is_named:
            return replies.nil_array(protocol)
        return replies.bulk_array([primary.host.encode(), b"%d" % primary.port])
    if not is_named:
        return NO_SUCH_MASTER
    match subcommand:
        case b"MASTER":
            return NO_PRIMARY if primary is None else replies.encode(_primary_row(view, primary), protocol)
        case b"SENTINELS":
            return replies.encode([_sentinel_row(view, each) for each in view.sentinels], protocol)
        case b"CKQUORUM":
            return _check_quorum(view)
    return replies.encode([_replica_row(view, each) for each in view.replicas], protocol)


def _primary_row(view: SentinelView, primary: SentinelPeer) -> Row:
    # All nodes go by what one place says, so what is down for one is down for all of them.
    flags = "s_down,o_down,master,disconnected" if primary.is_down else "master"
    return {
        "name": view.service,
        **_row(view, primary, flags),
        "role-reported": "master",
        "config-epoch": str(view.epoch),
        "num-slaves": str(len(view.replicas)),
        "num-other-sentinels": str(len(view.sentinels)),
        "quorum": str(view.quorum),
    }


def _replica_row(view: SentinelView, replica: SentinelPeer) -> Row:
    primary, is_linked = view.primary, replica.link_is_up and not replica.is_down
    return {
        "name": f"{replica.host}:{replica.port}",
        **_row(view, replica, _flags("slave", replica)),
        "role-reported": "slave",
        "master-link-status": "ok" if is_linked else "err",
        "master-host": "?" if primary is None else primary.host,
        "master-port": "0" if primary is None else str(primary.port),
        "slave-priority": _PRIORITY,
        "slave-repl-offset": str(replica.offset),
    }


def _sentinel_row(view: SentinelView, other: SentinelPeer) -> Row:
    return {"name": other.node_id, **_row(view, other, _flags("sentinel", other))}


def _row(view: SentinelView, peer: SentinelPeer, flags: str) -> Row:
    return {
        "ip": peer.host,
        "port": str(peer.port),
        "runid": peer.node_id,
        "flags": flags,
        "down-after-milliseconds": str(round(view.down_after_seconds * 1000)),
    }


def _flags(kind: str, peer: SentinelPeer) -> str:
    return f"s_down,{kind},disconnected" if peer.is_down else kind


def _check_quorum(view: SentinelView) -> bytes:
    usable = 1 + sum(not each.is_down for each in view.sentinels)
    if usable >= view.quorum:
        said = f"OK {usable} usable Sentinels. Quorum and failover authorization can be reached"
        return replies.status(said.encode())
    return replies.error(
        f"NOQUORUM {usable} usable Sentinels. Not enough available Sentinels to reach the specified quorum "
        "for this master"
    )

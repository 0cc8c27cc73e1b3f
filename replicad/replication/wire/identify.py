"""The first exchange of a session: who are you, and do we speak the same protocol?

Pure functions over the HELLO and WELCOME messages; the sessions send and receive.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from replicad.errors import ProtocolError, SessionRefusedError
from replicad.replication.wire.messages import PROTOCOL_VERSION, Hello, Message, Refuse, Welcome
from replicad.version import VERSION

SOFTWARE = f"replicad/{VERSION}"
VERSIONS = (PROTOCOL_VERSION,)
VERIFY = "verify"
"""Questions and answers about the data at a mark."""
COPY_ONLY = "copy-only"
"""The client that connects is not a replica: it wants only a copy, and no log is kept for it."""
NODES = "nodes"
"""The replica is told which other nodes there are."""
WRITTEN = "written"
"""The replica takes log that is written and not durable yet, where its primary sends such."""
DELAYED = "delayed"
"""The replica may acknowledge log as durable before it applies it, and says in its claim what it applied."""
FEATURES: tuple[str, ...] = (VERIFY, NODES, WRITTEN, DELAYED)
"""What a replica asks for."""
NAME = r"[A-Za-z0-9_.-]{0,64}"
"""What a node may be called."""


@dataclass(frozen=True, slots=True)
class Identity:
    """A node: the id of its data directory, and the random id of this run of its daemon."""

    node: bytes
    process: bytes
    name: str = ""
    """What its operator calls it."""


@dataclass(frozen=True, slots=True)
class Whereabouts:
    """What a node says of itself in addition to who it is: its addresses, and its path to the primary."""

    replication: str = ""
    clients: str = ""
    path: tuple[bytes, ...] = ()
    """From the node that it follows, to the primary; ids. Empty at a primary."""


def hello_from(me: Identity, at: Whereabouts, database_id: bytes | None, features: tuple[str, ...]) -> Hello:
    """What a node says first to the one that it wants log from; None: it has no database yet."""
    return Hello(
        VERSIONS, me.node, me.process, database_id, features, SOFTWARE, me.name, at.replication, at.clients
    )


def check_hello(hello: Hello, me: Identity, live: Mapping[bytes, bytes]) -> Refuse | None:
    """Why the primary refuses this replica, or None. `live` maps the node ids of running sessions to their
    process ids: the same process may replace its own session, another may not."""
    if not set(hello.versions) & set(VERSIONS):
        ours = ", ".join(map(str, VERSIONS))
        theirs = ", ".join(map(str, hello.versions))
        older = "this node" if max(hello.versions, default=0) > max(VERSIONS) else "the replica"
        return Refuse(
            "version",
            f"this node ({SOFTWARE}) speaks protocol {ours}, the replica ({hello.software[:64]}) {theirs}: "
            f"upgrade {older} first, to a release that speaks both",
            False,
        )

    # Before the node ids: those of a node that reached itself are equal too, and that reason would be wrong.
    if hello.process == me.process:
        return Refuse("self", "the node reached itself", False)

    if hello.node == me.node:
        return Refuse(
            "same-node",
            f"both nodes have the node id {me.node.hex()}: one directory is a copy of the other",
            False,
        )

    if re.fullmatch(NAME, hello.name) is None:
        return Refuse("name", f"{hello.name[:64]!r} is not the name of a node: {NAME}", False)

    # The only one that time may mend: the other connection may be lost without this node knowing yet.
    if live.get(hello.node, hello.process) != hello.process:
        return Refuse("node-live", f"another replica with the node id {hello.node.hex()} is connected", True)
    return None


def check_owner(hello: Hello, owner: str, names: Collection[str] | None) -> Refuse | None:
    """Why the node id of this HELLO is not the one of the node that says it, or None.

    `owner` is the certified name that used the node id first, empty when nobody did; `names` are those of the
    certificate that came with the HELLO, None without TLS. A node id is not secret: anyone else who says it
    would take the place of that node, its log, and its address.
    """
    if not owner or names is None or owner in names:
        return None
    return Refuse(
        "certificate",
        f"the node id {hello.node.hex()} is that of {owner}, and this certificate is for "
        f"{', '.join(sorted(names)) or 'no name'}: if {owner} has another name now, drop its slot here "
        f"(replicad slot drop)",
        False,
    )


def check_welcome(message: Message, me: Identity) -> Welcome:
    """The primary's answer, or the error that it amounts to."""
    if isinstance(message, Refuse):
        raise SessionRefusedError(message.code, message.reason, message.retry)
    if not isinstance(message, Welcome):
        raise ProtocolError(f"{message.KIND.name} came where WELCOME belongs")
    if message.version not in VERSIONS:
        raise ProtocolError(f"the primary chose protocol {message.version}, which was not offered")
    if message.process == me.process or message.node == me.node:
        raise SessionRefusedError("self", "the node reached itself, or a copy of its own directory", False)
    return message


def common_features(hello: Hello) -> tuple[str, ...]:
    """What both sides can do, in this side's order."""
    return tuple(feature for feature in (*FEATURES, COPY_ONLY) if feature in hello.features)

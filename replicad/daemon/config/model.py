"""What a configuration holds: the keys before the first section, and a class of options for each section.

data = "/var/lib/replicad/primary"
name = "paris-1"                       # what status and `synchronous` call this node
listen = "127.0.0.1:6380"              # Redis clients
replication = "127.0.0.1:6381"         # where replicas connect; of a replica, a port that the system chooses
primary = "127.0.0.1:6381"             # a replica: the replication address of the node that it follows
from_backup = "/var/backups/replicad"  # a replica without data: restores a backup from there first
http = "127.0.0.1:6382"                # health, status and metrics; without it nothing listens

[store]      the fields of replicad.options.Options; [store.families.NAME] those of FamilyOptions
[link]       the fields of replicad.replication.options.ReplicationOptions
[roles]      the fields of replicad.replication.options.RoleOptions
[failover]   the fields of replicad.replication.failover_options.FailoverOptions
[verification]  the fields of replicad.replication.options.VerificationOptions
[clients]    the fields of replicad.server.options.ServerOptions
[backup]     the fields of replicad.daemon.backups.options.NodeBackupOptions
[tls]        the fields of replicad.net.options.TlsOptions, with tables for each port
[users.NAME] the fields of replicad.server.access.users.UserOptions
[links.NAME] the fields of replicad.replication.links.options.LinkOptions
[log]        the fields of LogConfig
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    StringConstraints,
    model_validator,
)
from pydantic_core import PydanticCustomError

from replicad.backup.address import check_for_node
from replicad.daemon.backups.options import NodeBackupOptions
from replicad.daemon.exposure import Exposed, check_announce, check_exposure
from replicad.errors import ConfigError
from replicad.net.addresses import Address, parse_address
from replicad.net.options import TlsOptions
from replicad.options import Options
from replicad.replication.failover_options import FailoverOptions
from replicad.replication.links.options import LINK_NAME, LinkOptions, is_link_name
from replicad.replication.options import ReplicationOptions, RoleOptions, VerificationOptions
from replicad.replication.wire.identify import NAME
from replicad.server import ServerOptions
from replicad.server.access.users import DEFAULT, USER_NAME, UserOptions


def _address(value: object) -> Address:
    if isinstance(value, Address):
        return value
    try:
        return parse_address(str(value))
    except ConfigError as error:
        raise PydanticCustomError("address", "{reason}", {"reason": str(error)}) from None


def _host(text: str) -> str:
    try:
        address = parse_address(f"[{text}]:1" if ":" in text else f"{text}:1")
    except ConfigError:
        address = None
    if address is None or address.is_any:
        raise PydanticCustomError("address", "{reason}", {"reason": f"{text!r} is not a host to connect to"})
    return address.host


def _target(text: str) -> str:
    try:
        check_for_node(text)
    except ConfigError as error:
        raise PydanticCustomError("target", "{reason}", {"reason": str(error)}) from None
    return text


AddressText = Annotated[Address, BeforeValidator(_address)]

FLAGS_ONLY = frozenset({"take_role_now", "create"})
"""What is said of one start; no key of a file."""


@dataclass(frozen=True, kw_only=True)
class LogConfig:
    """How events are written to standard error; "auto" is console on a terminal and JSON elsewhere."""

    format: Literal["auto", "json", "console"] = "auto"
    """How events are written to standard error: "auto" is "console" on a terminal and "json" elsewhere."""
    level: Literal["debug", "info", "warning", "error"] = "info"
    """What is less important than this is not written."""


class NodeConfig(BaseModel):
    """What every node has."""

    # One process uses one of the kinds of node: only that one is built.
    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True, defer_build=True)

    data: Path
    """The data directory, made when it is missing. Required, here or with --data."""
    name: Annotated[str, StringConstraints(pattern=f"^{NAME}$")] = ""
    """The name of this node in status and `synchronous`."""
    listen: AddressText = Address("127.0.0.1", 6380)
    """Where Redis clients connect."""
    listen_unix: Path | None = None
    """A Unix socket beside that port: root, and the user that the node runs as, have all roles there."""
    listen_unix_mode: Literal["0600", "0660", "0666"] = "0600"
    """Who may connect to the Unix socket; who is neither root nor the node's own user logs in there, too."""
    http: AddressText | None = None
    """Health, status and metrics; without it nothing listens."""
    store: Options = Options()
    """How the database behaves on this node; the same options as `replicad.Options`."""
    link: ReplicationOptions = ReplicationOptions()
    """Replication, on both sides."""
    roles: RoleOptions = RoleOptions()
    """How a node changes its role, and what it does when it is not sure of it."""
    failover: FailoverOptions = FailoverOptions()
    """Automatic failover: etcd says who leads."""
    verification: VerificationOptions = VerificationOptions()
    """How a replica compares its data with that of the node it follows."""
    clients: ServerOptions = ServerOptions()
    """What one client, and all clients together, may take."""
    backup: NodeBackupOptions = NodeBackupOptions()
    """Where backups go, what is kept, and whether the log is archived."""
    insecure: bool = False
    """Let other machines in, and connect to them, in clear text and without users: for a network that nobody
    else is on."""
    announce: Annotated[str, AfterValidator(_host)] | None = None
    """The host under which others reach this node, where that is not the one it listens at."""
    tls: TlsOptions = TlsOptions()
    """Certificates, for all ports or for one: the files are read again when they change."""
    users: Mapping[str, UserOptions] = {}
    """Who may do what at the client port and over HTTP. Without any user everybody may do everything."""
    links: Mapping[str, LinkOptions] = {}
    """Links from primaries of other databases, while this node is a primary. A link that is taken out of the
    configuration stays: `replicad link remove` ends it."""
    log: LogConfig = LogConfig()
    """What is written to standard error, by a thread of its own."""
    take_role: bool = False
    """Take the role that the verb says, by the rules of `promote` and `REPLICAOF`. Tried once, at the first
    start with this key; --take-role does it for one start."""
    take_role_now: bool = False
    """The flag; no file has it."""
    create: bool = False
    """A primary makes a database where there is a directory without one; no file has it."""

    @model_validator(mode="after")
    def _check_users(self) -> Self:
        for name in self.users:
            if re.fullmatch(USER_NAME, name) is None:
                raise ConfigError(f"users.{name} is not the name of a user: {USER_NAME}")
        return self

    @model_validator(mode="after")
    def _check_links(self) -> Self:
        for name in self.links:
            if not is_link_name(name):
                raise ConfigError(f"links.{name} is not the name of a link: {LINK_NAME}")
        return self

    @model_validator(mode="after")
    def _check_failover(self) -> Self:
        if self.failover.is_on and self.link.synchronous and self.link.synchronous_level != "durable":
            raise ConfigError(
                'failover needs link.synchronous_level = "durable": a node that is promoted has what the '
                "others hold durably"
            )
        return self

    @model_validator(mode="after")
    def _check_exposure(self) -> Self:
        exposed = self._exposed()
        everybody = self.users.get(DEFAULT)
        open_roles = () if everybody is None or everybody.has_secret else everybody.roles
        check_exposure(exposed, has_users=bool(self.users), insecure=self.insecure, open_roles=open_roles)
        check_announce(exposed, self.announce)
        return self

    def _exposed(self) -> list[Exposed]:
        tls, replication = self.tls, getattr(self, "replication", None)
        between_nodes = tls.material("replication") is not None
        exposed = [Exposed("listen", self.listen, tls.material("clients") is not None, True)]
        if replication is not None:
            exposed.append(Exposed("replication", replication, between_nodes, False))
        if (primary := getattr(self, "primary", None)) is not None:
            exposed.append(Exposed("primary", primary, between_nodes, False, listens=False))
        for name, link in self.links.items():
            key = f"links.{name}.source"
            exposed += [Exposed(key, each, between_nodes, False, listens=False) for each in link.sources]
        if self.http is not None:
            exposed.append(Exposed("http", self.http, tls.material("http") is not None, True))
        return exposed

    @model_validator(mode="after")
    def _check_addresses(self) -> Self:
        addresses = {name: getattr(self, name, None) for name in ("listen", "replication", "http")}
        taken: dict[Address, str] = {}
        for name, address in addresses.items():
            if address is None or address.port == 0:
                continue
            if address in taken:
                raise ConfigError(f"{name} is {address}, as {taken[address]} is: each needs its own port")
            taken[address] = name
        return self


class PrimaryConfig(NodeConfig):
    """Of a node that begins as a primary."""

    replication: AddressText = Address("127.0.0.1", 6381)
    """Where replicas connect."""


class ReplicaConfig(NodeConfig):
    """Of a node that begins as a replica."""

    primary: AddressText
    """The replication address of the node that it follows. Required for a replica."""
    replication: AddressText = Address("127.0.0.1", 0)
    """Where replicas connect; of a replica, port 0 is one that the system chooses."""
    from_backup: Annotated[str, AfterValidator(_target)] | None = None
    """A replica without data restores the newest backup at this target, and the archived log after it, before
    it follows. With data it goes on as it is; archived log is read there where `catch_up_from` is not set."""

    @model_validator(mode="after")
    def _check_primary(self) -> Self:
        if self.primary.port == 0:
            raise ConfigError(f"primary is {self.primary}: nothing is reached at port 0")
        for key in ("replication", "listen", "http"):
            if self.primary == getattr(self, key):
                raise ConfigError(
                    f"primary is {self.primary}, which is {key} of this node itself: the replication address "
                    "of another node belongs there"
                )
        return self

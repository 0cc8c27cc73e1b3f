"""The configuration of a node: a TOML file, with flags over it. Unknown keys are errors.

data = "/var/lib/replicad/primary"
name = "paris-1"                       # what status and `synchronous` call this node
listen = "127.0.0.1:6380"              # Redis clients
replication = "127.0.0.1:6381"         # where replicas connect; of a replica, a port that the system chooses
primary = "127.0.0.1:6381"             # a replica: the replication address of the node that it follows
http = "127.0.0.1:6382"                # health, status and metrics; without it nothing listens

[store]      the fields of replicad.options.Options; [store.families.NAME] those of FamilyOptions
[link]       the fields of replicad.replication.options.ReplicationOptions
[roles]      the fields of replicad.replication.options.RoleOptions
[verification]  the fields of replicad.replication.options.VerificationOptions
[clients]    the fields of replicad.server.options.ServerOptions
insecure = false                       # true: other machines are reached without TLS and users
announce = "db1.example.com"           # under which others reach this node, if not by its addresses

[users.NAME] the fields of replicad.server.access.users.UserOptions
[tls]        the fields of replicad.net.options.TlsOptions
[backup]     the fields of replicad.daemon.backups.options.NodeBackupOptions
[log]        format = "auto" | "json" | "console", level = "debug" | "info" | "warning" | "error"
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from dataclasses import fields
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    StringConstraints,
    TypeAdapter,
    ValidationError,
    model_validator,
)
from pydantic_core import PydanticCustomError

from replicad.daemon.backups.options import NodeBackupOptions
from replicad.daemon.exposure import Exposed, check_announce, check_exposure
from replicad.errors import ConfigError
from replicad.net.addresses import Address, parse_address
from replicad.net.options import TlsOptions
from replicad.options import FamilyOptions, Options
from replicad.replication.options import ReplicationOptions, RoleOptions, VerificationOptions
from replicad.replication.wire.identify import NAME
from replicad.server import ServerOptions
from replicad.server.access.users import UserOptions

Part = TypeVar("Part")


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


AddressText = Annotated[Address, BeforeValidator(_address)]

_PARTS: dict[str, type[Any]] = {
    "store": Options,
    "link": ReplicationOptions,
    "roles": RoleOptions,
    "verification": VerificationOptions,
    "clients": ServerOptions,
    "backup": NodeBackupOptions,
    "tls": TlsOptions,
}


FLAGS_ONLY = frozenset({"take_role_now", "create"})
"""What is said of one start; no key of a file."""


class LogConfig(BaseModel):
    """How events are written to standard error; "auto" is console on a terminal and JSON elsewhere."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: Literal["auto", "json", "console"] = "auto"
    level: Literal["debug", "info", "warning", "error"] = "info"


class NodeConfig(BaseModel):
    """What every node has."""

    # One process uses one of the kinds of node: only that one is built.
    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True, defer_build=True)

    data: Path
    name: Annotated[str, StringConstraints(pattern=f"^{NAME}$")] = ""
    listen: AddressText = Address("127.0.0.1", 6380)
    http: AddressText | None = None
    store: Options = Options()
    link: ReplicationOptions = ReplicationOptions()
    roles: RoleOptions = RoleOptions()
    verification: VerificationOptions = VerificationOptions()
    clients: ServerOptions = ServerOptions()
    backup: NodeBackupOptions = NodeBackupOptions()
    log: LogConfig = LogConfig()
    tls: TlsOptions = TlsOptions()
    users: dict[Annotated[str, StringConstraints(pattern="^[A-Za-z0-9_.-]{1,64}$")], UserOptions] = {}
    insecure: bool = False
    """Lets the node use addresses of other machines without TLS and without users."""
    announce: Annotated[str, AfterValidator(_host)] | None = None
    """The host under which others reach this node."""
    take_role: bool = False
    """Says so once: see `replication.roles.takes_role`."""
    take_role_now: bool = False
    """The flag; no file has it."""
    create: bool = False
    """A primary makes a database where there is a directory without one; no file has it."""

    @model_validator(mode="after")
    def _check_exposure(self) -> Self:
        exposed = self._exposed()
        check_exposure(exposed, has_users=bool(self.users), insecure=self.insecure)
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


class ReplicaConfig(NodeConfig):
    """Of a node that begins as a replica."""

    primary: AddressText
    replication: AddressText = Address("127.0.0.1", 0)

    @model_validator(mode="after")
    def _check_primary(self) -> Self:
        if self.primary.port == 0:
            raise ConfigError(f"primary is {self.primary}: nothing is reached at port 0")
        return self


Config = TypeVar("Config", bound=NodeConfig)


def load_primary(file: Path | None = None, **flags: Any) -> PrimaryConfig:
    """The file's keys with `flags` (None: not given) over them; a flag `a__b` is key `b` of table `a`.

    Raises ConfigError naming the key.
    """
    return _load(PrimaryConfig, file, flags)


def load_replica(file: Path | None = None, **flags: Any) -> ReplicaConfig:
    """As `load_primary`."""
    return _load(ReplicaConfig, file, flags)


def _load(kind: type[Config], file: Path | None, flags: dict[str, Any]) -> Config:
    values = {} if file is None else _read(file)
    in_file = frozenset(values)
    for name, value in flags.items():
        if value is not None:
            table, _, key = name.rpartition("__")
            (values.setdefault(table, {}) if table else values)[key] = value
    where = "the command line" if file is None else str(file)

    # Each part is made by itself first, so that an error names the section and key that the operator wrote.
    try:
        for name, part in _PARTS.items():
            if name in values:
                values[name] = _part(part, name, values[name])
        for name in values.keys() - kind.model_fields.keys():
            raise ConfigError(_unknown("", name, kind.model_fields))
        if in_file & FLAGS_ONLY:
            raise ConfigError(f"{min(in_file & FLAGS_ONLY)} is not a key")
        return kind.model_validate(values)
    except ValidationError as error:
        raise ConfigError(f"{where}: {_first(error)}") from None
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from None


def _read(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text())
    except OSError as error:
        raise ConfigError(f"{file}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file}: {error}") from None
    except RecursionError:
        raise ConfigError(f"{file}: arrays or tables are nested too deeply") from None


def _part(kind: type[Part], name: str, table: Any) -> Part:
    if not isinstance(table, dict):
        raise ConfigError(f"{name} is a table")
    _check_keys(kind, name, table)
    families = table.get("families", {}) if kind is Options else {}
    for family, one in families.items() if isinstance(families, dict) else ():
        if isinstance(one, dict):
            _check_keys(FamilyOptions, f"{name}.families.{family}", one)
    try:
        return TypeAdapter(kind).validate_python(table)
    except ValidationError as error:
        raise ConfigError(f"{name}.{_first(error)}") from None


def _check_keys(kind: type[Any], name: str, table: dict[str, Any]) -> None:
    known = {field.name: field for field in fields(kind) if field.name != "create_if_missing"}
    for key, value in table.items():
        if key not in known:
            raise ConfigError(_unknown(name, key, known))
        if isinstance(value, bool) and not isinstance(known[key].default, bool):
            raise ConfigError(f"{name}.{key} is not {str(value).lower()}: it is not a switch")


def _unknown(table: str, key: str, known: Iterable[str]) -> str:
    """What is wrong with a key that its table does not have, and what was probably meant."""
    text = f"{table}.{key} is not a key" if table else f"{key} is not a key"
    homes = [f"in [{name}]" for name, part in _PARTS.items() if key in {field.name for field in fields(part)}]
    if table and key in ReplicaConfig.model_fields:
        homes.append("before the first section")
    if homes:
        return f"{text}: it belongs {homes[0]}"
    alike = get_close_matches(key, known, 1)
    return f"{text}: did you mean {alike[0]}?" if alike else text


def _first(error: ValidationError) -> str:
    problem = error.errors()[0]
    key = ".".join(map(str, problem["loc"]))
    match problem["type"]:
        case "missing":
            return f"{key} is missing"
        case "extra_forbidden":
            return f"{key} is not a key"
        case "value_error":  # It names the option.
            return (f"{key}." if key else "") + str(problem["ctx"]["error"])
        case "address":
            return f"{key}: {problem['msg']}"
    text = problem["msg"].replace("Input should", "should", 1)
    return f"{key} {text}, not {problem['input']!r}"

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
[backup]     the fields of replicad.daemon.backup_options.NodeBackupOptions
[log]        format = "auto" | "json" | "console", level = "debug" | "info" | "warning" | "error"
"""

from __future__ import annotations

import tomllib
from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, StringConstraints, TypeAdapter, ValidationError

from replicad.daemon.addresses import Address, parse_address
from replicad.daemon.backup_options import NodeBackupOptions
from replicad.errors import ConfigError, InvalidArgument
from replicad.options import FamilyOptions, Options
from replicad.replication.options import ReplicationOptions, RoleOptions, VerificationOptions
from replicad.server import ServerOptions

Part = TypeVar("Part")
AddressText = Annotated[
    Address, BeforeValidator(lambda value: parse_address(value) if isinstance(value, str) else value)
]

_PARTS: dict[str, type[Any]] = {
    "store": Options,
    "link": ReplicationOptions,
    "roles": RoleOptions,
    "verification": VerificationOptions,
    "clients": ServerOptions,
    "backup": NodeBackupOptions,
}


class LogConfig(BaseModel):
    """How events are written to standard error; "auto" is console on a terminal and JSON elsewhere."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: Literal["auto", "json", "console"] = "auto"
    level: Literal["debug", "info", "warning", "error"] = "info"


class NodeConfig(BaseModel):
    """What every node has."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)

    data: Path
    name: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.-]{0,64}$")] = ""
    listen: AddressText = Address("127.0.0.1", 6380)
    http: AddressText | None = None
    store: Options = Options()
    link: ReplicationOptions = ReplicationOptions()
    roles: RoleOptions = RoleOptions()
    verification: VerificationOptions = VerificationOptions()
    clients: ServerOptions = ServerOptions()
    backup: NodeBackupOptions = NodeBackupOptions()
    log: LogConfig = LogConfig()
    take_role: bool = False


class PrimaryConfig(NodeConfig):
    """Of a node that begins as a primary."""

    replication: AddressText = Address("127.0.0.1", 6381)


class ReplicaConfig(NodeConfig):
    """Of a node that begins as a replica."""

    primary: AddressText
    replication: AddressText = Address("127.0.0.1", 0)


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
    for name, value in flags.items():
        if value is not None:
            table, _, key = name.rpartition("__")
            (values.setdefault(table, {}) if table else values)[key] = value
    where = "the command line" if file is None else str(file)
    try:
        for name, part in _PARTS.items():
            if name in values:
                values[name] = _part(part, name, values[name])
        return kind.model_validate(values)
    except ValidationError as error:
        raise ConfigError(f"{where}: {_first(error)}") from None
    except (ConfigError, InvalidArgument) as error:
        raise ConfigError(f"{where}: {error}") from None


def _read(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text())
    except OSError as error:
        raise ConfigError(f"{file}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file}: {error}") from None


def _part(kind: type[Part], name: str, table: Any) -> Part:
    if not isinstance(table, dict):
        raise ConfigError(f"{name} is a table")
    known = {field.name for field in fields(kind)} - {"create_if_missing"}  # type: ignore[arg-type]
    for key in table:
        if key not in known:
            raise ConfigError(f"{name}.{key} is not a key")
    for family, one in table.get("families", {}).items() if kind is Options else ():
        for key in one if isinstance(one, dict) else ():
            if key not in {field.name for field in fields(FamilyOptions)}:
                raise ConfigError(f"{name}.families.{family}.{key} is not a key")
    try:
        return TypeAdapter(kind).validate_python(table)
    except ValidationError as error:
        raise ConfigError(f"{name}.{_first(error)}") from None


def _first(error: ValidationError) -> str:
    problem = error.errors()[0]
    key = ".".join(map(str, problem["loc"]))
    text = "is not a key" if problem["type"] == "extra_forbidden" else problem["msg"]
    if problem["type"] == "missing":
        text = "is missing"
    return f"{key} {text}" if key else text

"""How the command line reaches nodes: TLS, user, secret.

    ~/.config/replicad/client.toml    tls, ca_file, cert_file, key_file, user, password_file;
                                      [nodes."HOST:PORT"] has the same for one node
    flags before the verb             over that
    the URL of a node                 over both: rediss://USER@HOST:PORT, redis://…, unix:/PATH

A password stands in none of them: it comes from a file.
"""

from __future__ import annotations

import os
import re
import tomllib
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from replicad.errors import ConfigError, UsageError

DEFAULT_PORT = 6380
_ADDRESS = re.compile(r"(?:\[(?P<six>[0-9A-Fa-f:.]+)\]|(?P<host>[^:/\s]*)):(?P<port>\d{1,5})")


@dataclass(frozen=True, kw_only=True)
class Access:
    """What a connection to a node needs beside its address."""

    tls: bool | None = None
    ca_file: Path | None = None
    """None: those of the system."""
    cert_file: Path | None = None
    key_file: Path | None = None
    user: str | None = None
    password_file: Path | None = None

    def over(self, other: Access) -> Access:
        """This one, and what it does not say from the other."""
        said = {each.name: value for each in fields(self) if (value := getattr(self, each.name)) is not None}
        return replace(other, **said)

    @property
    def wants_tls(self) -> bool:
        """Who names certificates means TLS."""
        return bool(self.tls) or (self.tls is None and (self.ca_file or self.cert_file) is not None)


@dataclass(frozen=True)
class NodeAddress:
    """A client port, or with a path as its host and 0 as its port, a Unix socket."""

    host: str
    port: int
    access: Access = Access()

    @property
    def shown(self) -> str:
        if self.host.startswith("/"):
            return f"unix:{self.host}"
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


_flags = Access()


def say(flags: Access) -> None:
    """The flags of this command line."""
    global _flags
    _flags = flags


def is_node_address(text: str) -> bool:
    """Whether it names a node by its address, and no directory."""
    return _ADDRESS.fullmatch(text) is not None or text.startswith(("redis://", "rediss://", "unix:"))


def parse_node_address(text: str) -> NodeAddress:
    """HOST:PORT, [IPV6]:PORT, :PORT (this machine), redis://, rediss:// or unix:PATH; raises UsageError, and
    ConfigError for a client.toml that is wrong."""
    host, port, own = _parse(text)
    target = NodeAddress(host, port)
    return NodeAddress(host, port, own.over(_flags).over(_configured(target.shown)))


def _parse(text: str) -> tuple[str, int, Access]:
    if text.startswith("unix:"):
        path = text.removeprefix("unix:")
        return (
            str(Path("/" + path.lstrip("/")) if path.startswith("//") else Path(path).absolute()),
            0,
            Access(),
        )
    if text.startswith(("redis://", "rediss://")):
        return _parse_url(text)
    match = _ADDRESS.fullmatch(text)
    if match is None or int(match["port"]) > 65535:
        raise UsageError(f"{text!r} is not HOST:PORT")
    return match["six"] or match["host"] or "127.0.0.1", int(match["port"]), Access()


def _parse_url(text: str) -> tuple[str, int, Access]:
    try:
        url = urlsplit(text)
        host, port = url.hostname, url.port
    except ValueError as error:
        # Not the text itself: a password may stand in it.
        raise UsageError(f"that is not the URL of a node: {error}") from None
    if url.password is not None:
        raise UsageError("a password does not belong into a URL, where everybody sees it: --password-file")
    if not host or url.path.strip("/") or url.query:
        raise UsageError(f"{text!r} is not the URL of a node: rediss://USER@HOST:PORT")
    user = unquote(url.username) if url.username else None
    return host, port or DEFAULT_PORT, Access(tls=url.scheme == "rediss", user=user)


def client_file() -> Path:
    base = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    return Path(base) / "replicad" / "client.toml"


def _configured(node: str) -> Access:
    try:
        file = client_file()
        values = tomllib.loads(file.read_text())
    except (FileNotFoundError, NotADirectoryError, RuntimeError):
        return Access()
    except OSError as error:
        raise ConfigError(f"{file}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ConfigError(f"{file}: {error}") from None
    nodes = values.pop("nodes", {})
    one = nodes.get(node, {}) if isinstance(nodes, dict) else {}
    return _read(one, f"{file}: nodes.{node}").over(_read(values, str(file)))


def _read(table: Any, where: str) -> Access:
    known = {each.name for each in fields(Access)}
    if not isinstance(table, dict):
        raise ConfigError(f"{where} is not a table")
    for key, value in table.items():
        if key not in known:
            raise ConfigError(f"{where}: {key} is not a key; there are {', '.join(sorted(known))}")
        if not isinstance(value, bool if key == "tls" else str):
            raise ConfigError(f"{where}: {key} is {value!r}")
    said: dict[str, Any] = {
        key: Path(value).expanduser() if key.endswith("_file") else value for key, value in table.items()
    }
    return Access(**said)

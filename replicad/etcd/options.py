"""Where etcd is, and how a node logs in there: keys of `[failover]`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from replicad.errors import InvalidArgument

_ENDPOINT = re.compile(r"(https?)://(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(:[0-9]{1,5})?/?")


@dataclass(frozen=True, kw_only=True)
class EtcdOptions:
    """`endpoints` are tried in order, the one that answered last first."""

    endpoints: tuple[str, ...]
    user: str = ""
    password_file: Path | None = None
    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None
    request_seconds: float = 1.0
    """How long one endpoint may take to answer, before the next one is asked."""

    def __post_init__(self) -> None:
        if not self.endpoints:
            raise InvalidArgument("etcd names no endpoint")
        for endpoint in self.endpoints:
            if _ENDPOINT.fullmatch(endpoint) is None:
                raise InvalidArgument(f'etcd: {endpoint!r} is not "http://HOST:PORT" or "https://HOST:PORT"')
        if len({endpoint.partition(":")[0] for endpoint in self.endpoints}) != 1:
            raise InvalidArgument("etcd: either all endpoints begin with https:, or all with http:")
        if bool(self.user) != (self.password_file is not None):
            raise InvalidArgument("user and password_file belong together")
        if (self.cert_file is None) != (self.key_file is None):
            raise InvalidArgument("cert_file and key_file belong together")
        if self.endpoints[0].startswith("http:") and (self.ca_file or self.cert_file):
            raise InvalidArgument("ca_file and cert_file are for endpoints that begin with https:")

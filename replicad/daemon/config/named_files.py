"""Whether the files that keys name can be used: certificates, keys, passwords."""

from __future__ import annotations

from replicad.daemon.config.model import NodeConfig
from replicad.errors import ConfigError
from replicad.net.doors import Doors
from replicad.server.access.users import Users


def wrong_files(config: NodeConfig) -> list[str]:
    """What a node of this configuration would end with at its start, as far as this process can tell."""
    wrong = []
    try:
        Doors(config.tls, insecure=config.insecure)
    except ConfigError as error:
        wrong.append(str(error))
    try:
        Users(config.users)
    except ConfigError as error:
        wrong.append(str(error))
    return wrong

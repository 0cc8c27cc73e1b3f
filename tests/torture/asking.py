"""What nodes say of themselves, whatever state they are in."""

from __future__ import annotations

import json
from typing import Any

import redis

from tests.support.nodes.daemons import Daemon

SECONDS_MAX = 0.5


def status_of(node: Daemon) -> dict[str, Any] | None:
    """The status document; None while the node does not answer."""
    if node.process is None:
        return None
    try:
        with redis.Redis(
            host=node.host,
            port=node.port,
            socket_timeout=SECONDS_MAX,
            socket_connect_timeout=SECONDS_MAX,
            retry=None,
        ) as client:
            document: dict[str, Any] = json.loads(client.execute_command("REPLICAD.STATUS"))
            return document
    except redis.RedisError:
        return None


def log_of(node: Daemon, first: int) -> dict[int, Any]:
    """The log from `first` on: what each batch is, by its first sequence number."""
    found: dict[int, Any] = {}
    with node.client() as client:
        while batches := client.execute_command("REPLICAD.UPDATES", first, 1000):
            for batch in batches:
                found[int(batch[0])] = batch[1:]
                first = int(batch[1]) + 1
    return found

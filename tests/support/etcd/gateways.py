"""Gateways for tests, with more patience than a node has."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from replicad.env.clock import Clock, SystemClock
from replicad.etcd.gateway import Gateway
from replicad.etcd.options import EtcdOptions

SECONDS = 10.0
"""For one request, where no endpoint is sick: the machine may be busy."""

MakeGateway = Callable[..., Gateway]


def make_gateway(*endpoints: str, clock: Clock | None = None, **more: Any) -> Gateway:
    """`more` are options."""
    options = EtcdOptions(endpoints=endpoints, **{"request_seconds": SECONDS, **more})
    return Gateway(options, clock or SystemClock())

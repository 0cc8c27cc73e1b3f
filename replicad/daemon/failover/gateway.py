"""How a node speaks to etcd. The client for HTTP is loaded by the nodes that have a failover only."""

from __future__ import annotations

from replicad.env import Clock
from replicad.etcd.calls import Etcd
from replicad.etcd.options import EtcdOptions


def make_gateway(options: EtcdOptions, clock: Clock) -> Etcd:
    from replicad.etcd.gateway import Gateway

    return Gateway(options, clock)

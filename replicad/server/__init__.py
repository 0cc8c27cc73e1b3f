"""The client port: RESP2 and RESP3, so that any Redis client works.

`RespServer` is given a store, and a `Node` for what only the daemon knows.
"""

from replicad.server.interfaces import Node, ReplicaView, SentinelPeer, SentinelView
from replicad.server.options import ServerOptions
from replicad.server.server import RespServer

__all__ = ["Node", "ReplicaView", "RespServer", "SentinelPeer", "SentinelView", "ServerOptions"]

"""Writers over TLS: each counts up keys of its own, and remembers what was acknowledged."""

from __future__ import annotations

import threading
import time
from collections import Counter

import redis

from replicad.cli.demonstration.ports import HOST
from tests.soak.cluster import SoakCluster

CLIENT_SECONDS = 5.0
KEYS = 2000
"""Of one writer: they are written again and again, so that what is kept stays small."""


class Writer(threading.Thread):
    """While `injected` is set something is done to the cluster: then a node may refuse, or be away."""

    def __init__(self, cluster: SoakCluster, number: int, injected: threading.Event) -> None:
        super().__init__(name=f"writer-{number}", daemon=True)
        self.acknowledged: dict[bytes, int] = {}
        self.attempted: dict[bytes, int] = {}
        self.count = 0
        self.errors: Counter[str] = Counter()
        """Of which nothing was injected that explains them."""
        self._cluster = cluster
        self._number = number
        self._injected = injected
        self._stopping = threading.Event()

    def stop(self) -> None:
        self._stopping.set()
        self.join()

    def run(self) -> None:
        ports = [node.port for node in self._cluster.nodes.values()]
        at, value = 0, 0
        while not self._stopping.is_set():
            client = redis.Redis(
                host=HOST,
                port=ports[at % len(ports)],
                username="app",
                password=self._cluster.token,
                ssl=True,
                ssl_ca_certs=str(self._cluster.authority.ca),
                socket_timeout=CLIENT_SECONDS,
                protocol=3,
            )
            try:
                while not self._stopping.is_set():
                    value += 1
                    key = b"soak:%d:%d" % (self._number, value % KEYS)
                    self.attempted[key] = value
                    client.set(key, value)
                    self.acknowledged[key] = value
                    self.count += 1
            except redis.exceptions.ReadOnlyError:
                at += 1
            except (redis.exceptions.RedisError, OSError) as error:
                if not self._injected.is_set():
                    self.errors[f"{type(error).__name__}: {error}"[:120]] += 1
                at += 1
                time.sleep(0.05)
            finally:
                client.close()

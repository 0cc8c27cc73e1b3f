"""What a node with a configuration would be, in one line."""

from __future__ import annotations

from replicad.daemon.config.load import Loaded
from replicad.daemon.config.model import NodeConfig, PrimaryConfig, ReplicaConfig


def summary(loaded: Loaded[NodeConfig]) -> str:
    """Its role, its data, its addresses, and how many values are not defaults.

    >>> summary(load(PrimaryConfig, Sources(flags={"data": "/srv"})))
    'a primary with its data in /srv, clients at 127.0.0.1:6380, replicas at 127.0.0.1:6381; 1 value set'
    """
    config = loaded.config
    parts = [f"its data in {config.data}", f"clients at {config.listen}"]
    if isinstance(config, PrimaryConfig | ReplicaConfig) and config.replication.port:
        parts.append(f"replicas at {config.replication}")
    if config.http is not None:
        parts.append(f"HTTP at {config.http}")
    role = f"a replica of {config.primary}" if isinstance(config, ReplicaConfig) else "a primary"
    name = f" called {config.name}" if config.name else ""
    count = len(loaded.settings)
    return f"{role}{name} with {', '.join(parts)}; {count} value{'' if count == 1 else 's'} set"

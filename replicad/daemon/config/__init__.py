"""The configuration of a node: a TOML file, `conf.d` beside it, the environment, flags. Unknown keys are
errors.

    model      the keys before the first section, and a class of options for each section
    keys       the same as a list, found in the model
    sources    the layers: files, variables; origins and lines say where a value stands
    load       from layers to a configuration, or to what is wrong: messages, values
"""

from replicad.daemon.config.load import Loaded, load, load_primary, load_replica, try_to_load
from replicad.daemon.config.model import FLAGS_ONLY, LogConfig, NodeConfig, PrimaryConfig, ReplicaConfig
from replicad.daemon.config.sources import Sources

__all__ = [
    "FLAGS_ONLY",
    "Loaded",
    "LogConfig",
    "NodeConfig",
    "PrimaryConfig",
    "ReplicaConfig",
    "Sources",
    "load",
    "load_primary",
    "load_replica",
    "try_to_load",
]

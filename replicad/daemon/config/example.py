"""A file with every key, as a comment with its default: what to copy from. Made from the model."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import MISSING

from replicad.daemon.config.help import first_sentence, help_of, help_of_table
from replicad.daemon.config.keys import NAME, Key
from replicad.daemon.config.model import NodeConfig, ReplicaConfig
from replicad.daemon.config.sections import sections_of
from replicad.daemon.config.values import takes, write_value

_SAMPLES = {"data": "/var/lib/replicad/{role}", "primary": "127.0.0.1:6381"}
"""Values of the keys that are required."""


def example(kind: type[NodeConfig]) -> str:
    """Sets only what is required; a line with a default says the default."""
    role = "replica" if kind is ReplicaConfig else "primary"
    lines = [f"# A replicad {role}. Sizes are bytes and times are seconds, as the last word of a key says."]
    for table, keys in sections_of(kind):
        lines.append("")
        if table:
            lines.append(f"# {help_of_table(kind, table)}")
            lines.append(f"{'# ' if NAME in table else ''}[{'.'.join(table)}]")
        for key in keys:
            lines += _key(key, role)
    return "\n".join(lines) + "\n"


def _key(key: Key, role: str) -> Iterator[str]:
    yield f"# {first_sentence(help_of(key))}"
    name = key.path[-1]
    if key.default is MISSING and key.is_named:
        yield f"# {name} =  # required; {takes(key)}"
    elif key.default is MISSING:
        yield f"{name} = {write_value(_SAMPLES[name].format(role=role))}  # {takes(key)}"
    elif key.default is None:
        yield f"# {name} =  # not set; {takes(key)}"
    else:
        yield f"# {name} = {write_value(key.default)}  # {takes(key)}"

"""What tells a target from another one that has its name: markers that it keeps for ever.

    meta/target-<id>        empty

A directory whose disk is not mounted, or a bucket that was made anew, is there and is not the target. A
user that comes back to a target remembers a marker, and goes on only where that still is. Nobody removes one,
so two that make the first at the same time both find theirs later.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NewType

from replicad.backup.names import META
from replicad.backup.target import Target
from replicad.env import Env
from replicad.errors import NotFoundError

TargetId = NewType("TargetId", str)
_MARKER = re.compile(r"meta/target-([0-9a-f]{16})")


def target_ids(listed: Iterable[str]) -> list[TargetId]:
    """Those of the markers among names under `meta/`."""
    return sorted(TargetId(match[1]) for name in listed if (match := _MARKER.fullmatch(name)))


def identify(env: Env, target: Target) -> TargetId:
    """The id to remember, of a target that is used for the first time; makes one where there is none."""
    found = target_ids(target.list(META))
    if not found:
        target.write(_marker(TargetId(env.random.bytes(8).hex())), [])
        found = target_ids(target.list(META))
    if not found:
        raise NotFoundError(f"{target.url} does not keep what is written to it")
    return found[0]


def has_identity(target: Target, id: TargetId) -> bool:
    return target.size(_marker(id)) is not None


def _marker(id: TargetId) -> str:
    return f"{META}target-{id}"

"""Which backup targets this node has used, and the id of each: another target at the same URL is an error.

    DATA/state/targets.json     {"URL": "ID", …}, the ids of `backup.identity`

It belongs to the node, as all in `state/`, and is not part of a copy. Any thread may call, one at a time.
"""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from replicad.env import Env
from replicad.env.atomic import replace_file
from replicad.errors import NotFoundError
from replicad.state.node import DIRECTORY

if TYPE_CHECKING:
    from replicad.backup.target import Target

FILE = "targets.json"


class KnownTargets:
    def __init__(self, env: Env, data_dir: Path) -> None:
        self._env = env
        self._path = data_dir / DIRECTORY / FILE
        self._lock = threading.Lock()

    def confirm(self, target: Target) -> None:
        """Raises NotFoundError unless the target is the one that it was when this node used it first."""
        # Only a node that uses a target loads it.
        from replicad.backup.identity import TargetId, has_identity, identify

        with self._lock:
            known = self._read()
            id = known.get(target.url)
            if id is None:
                self._write({**known, target.url: identify(self._env, target)})
            elif not has_identity(target, TargetId(id)):
                raise NotFoundError(
                    f"{target.url} is not the target that it was: it has no meta/target-{id}. Is its disk "
                    f"mounted? If it was replaced on purpose, delete {self._path}"
                )

    def _read(self) -> dict[str, str]:
        try:
            found = json.loads(self._env.fs.read_file(self._path))
        except FileNotFoundError:
            return {}
        except (ValueError, RecursionError):
            found = None
        if not isinstance(found, dict) or not all(isinstance(id, str) for id in found.values()):
            raise NotFoundError(
                f"{self._path} does not say any more which backup targets this node uses; see that they are "
                "mounted, and delete it"
            )
        return found

    def _write(self, known: dict[str, str]) -> None:
        self._env.fs.make_directories(self._path.parent)
        replace_file(self._env.fs, self._path, json.dumps(known, indent=1, sort_keys=True).encode() + b"\n")

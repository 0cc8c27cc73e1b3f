"""A process that makes and removes backups until it is killed: `worker.py TARGET SEED CHECKPOINT…`.

It writes a byte for each request to the target, just before it is made.
"""

from __future__ import annotations

import os
import random
import sys
from pathlib import Path

from replicad import BackupEngine
from replicad.backup.directory_target import DirectoryTarget
from replicad.env import Env
from tests.support.backups.watched import WatchedTarget


class Telling(WatchedTarget):
    def before(self, kind: str, name: str) -> None:
        os.write(1, b".")


def main() -> None:
    root, seed, *checkpoints = sys.argv[1:]
    source = random.Random(int(seed))
    engine = BackupEngine(Telling(DirectoryTarget(Env(), Path(root))))
    while True:
        match source.randrange(4):
            case 0:
                engine.purge_old_backups(source.randrange(1, 4))
            case 1:
                engine.garbage_collect(0)
            case _:
                engine.create_backup(source.choice(checkpoints))


if __name__ == "__main__":
    main()

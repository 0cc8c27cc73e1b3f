"""What tests do with backups: bring one back the plain way, and count requests."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from replicad import BackupEngine
from replicad.backup.target import Target
from replicad.env.filesystem import Bytes


def brought_back(engine: BackupEngine, id: int, directory: Path) -> Path:
    """Writes the database's files of a backup where they belong, with nothing but reads of the target."""
    for file in engine.get_backup(id).database_files:
        path = directory / file.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(engine.target.read(file.name))
    return directory


class WatchedTarget:
    """Another target, whose requests are counted by kind; `before` is called first, and may raise or wait."""

    def __init__(self, inner: Target) -> None:
        self.inner = inner
        self.url = inner.url
        self.requests: Counter[str] = Counter()
        self._lock = threading.Lock()

    def before(self, kind: str, name: str) -> None:
        with self._lock:
            self.requests[kind] += 1

    def list(self, prefix: str) -> dict[str, int]:
        self.before("list", prefix)
        return self.inner.list(prefix)

    def size(self, name: str) -> int | None:
        self.before("size", name)
        return self.inner.size(name)

    def read(self, name: str, offset: int = 0, length: int | None = None) -> bytes:
        self.before("read", name)
        return self.inner.read(name, offset, length)

    def write(self, name: str, chunks: Iterable[Bytes]) -> None:
        self.before("write", name)
        self.inner.write(name, chunks)

    def delete(self, names: Iterable[str]) -> None:
        listed = list(names)
        for name in listed:
            self.before("delete", name)
        self.inner.delete(listed)

    def remove_unfinished(self, age_seconds: float) -> int:
        self.before("remove_unfinished", "")
        return self.inner.remove_unfinished(age_seconds)


def orphans(engine: BackupEngine) -> set[str]:
    """Files at the target that no backup has, bookkeeping apart."""
    named: set[str] = set()
    for info in engine.get_backup_info():
        named |= engine.get_backup(info.id).names
        named.add(f"meta/{info.id}.json")
    kept = {name for name in engine.target.list("") if not name.startswith("meta/last-")}
    return kept - named - {"meta/catalog.json"}


def raise_unless_whole(engine: BackupEngine, *ids: int) -> None:
    """Every backup has every byte; `ids` are among them; a collection leaves nothing that nobody needs."""
    listed = {info.id for info in engine.get_backup_info()}
    assert set(ids) <= listed, (ids, listed)
    assert not engine.get_corrupted_backups()
    verification = engine.verify_backups(checksums=True)
    assert verification.ok, verification.problems
    engine.garbage_collect(0)
    assert not orphans(engine)
    assert {info.id for info in engine.get_backup_info()} == listed
    assert engine.verify_backups(checksums=True).ok

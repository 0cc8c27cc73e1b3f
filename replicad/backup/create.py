"""Making a backup (`proto/backup.md`).

    claim an id ─► look what is there ─► copy the rest ─► look again ─► publish the meta ─► release the claim

Until the meta is published there is no backup, whatever happens; from then on it is there, whatever happens.
What an interrupted one has copied whole stays under names that say what is in it, so the next one uses it.
"""

from __future__ import annotations

import contextlib
import hashlib
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from replicad.backup import names
from replicad.backup.attachments import Attachments, OpenAttachment, PlannedAttachment, wanted
from replicad.backup.claims import Claim, claim
from replicad.backup.collections import condemned_names
from replicad.backup.copying import Flow
from replicad.backup.meta import BackupFile, BackupMeta, encode_meta
from replicad.backup.options import METADATA_BYTES_MAX, BackupEngineOptions
from replicad.backup.source import LogTail, Source
from replicad.backup.target import Target, settle
from replicad.backup.workers import run_all
from replicad.env import Env
from replicad.env.filesystem import Bytes
from replicad.errors import AttachmentError, CorruptionError, InvalidArgument, StoppedError, StoreError
from replicad.store.copies.checkpoint import encode_state
from replicad.store.table.meta import TableMeta

OPTIONS_NAME = "OPTIONS-000001.toml"
_RENEW_SECONDS_MIN = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Creation:
    """One backup on its way. `flow` carries its rates, its progress and its stop."""

    env: Env
    target: Target
    options: BackupEngineOptions
    flow: Flow
    source: Source
    metadata: bytes
    attachments: Attachments | None

    def run(self) -> BackupMeta:
        """Raises StoppedError, AttachmentError, CorruptionError, ClosedError, DiskFullError, and leaves no
        backup then."""
        if len(self.metadata) > METADATA_BYTES_MAX:
            raise InvalidArgument(
                f"metadata has {len(self.metadata)} bytes; at most {METADATA_BYTES_MAX} are kept"
            )

        # The claim comes before any look at the target: a removal that begins now sees what this backup
        # relies on, and one that began before is seen by it.
        tables = self.source.state.tables if self.options.share_table_files else ()
        relied_on = [f"{names.table_identity(meta)}.sst" for meta in tables]
        held = claim(self.env, self.target, relied_on, all_attachments=self.attachments is not None)

        # A request that failed may still arrive later. While `publishing` is true giving up therefore revokes
        # the claim for good.
        publishing = False
        try:
            copies = _Copies(self, held)
            meta = copies.run()

            # The last look before publication: a claim that was given up may have lost files that it relied
            # on, and a source may have let go of what was being copied.
            held.check()
            self.flow.stop.check()
            self.source.check()

            publishing = True
            self.target.write(names.meta_name(held.id), [encode_meta(meta)])
            publishing = False

            # Without the claim nothing shows whether a removal still counted what it relied on, so the files
            # are looked for once more.
            if not held.safely_published():
                copies.raise_unless_all_there(meta.files)
        except BaseException:
            # What cannot be removed now goes with the next collection of garbage.
            with contextlib.suppress(Exception):
                held.withdraw(was_publishing=publishing)
            raise

        # The backup is there; a claim left over goes by itself.
        with contextlib.suppress(OSError, StoreError):
            held.release()
        return meta


@dataclass(frozen=True, slots=True)
class _Copied:
    """A file of the backup, and whether it had to be written."""

    file: BackupFile
    written: bool


class _Copies:
    """All files of one backup."""

    def __init__(self, creation: Creation, held: Claim) -> None:
        self._creation = creation
        self._env = creation.env
        self._target = creation.target
        self._flow = creation.flow
        self._source = creation.source
        self._claim = held
        self._condemned = condemned_names(creation.target, held.seen_then)
        self._there: dict[str, dict[str, int]] = {}
        """By identity, the names that may be relied on, with their sizes."""
        self._writing: set[str] = set()
        """Names of attachments that this backup writes: each once, though several have that content."""
        self._lock = threading.Lock()
        self._renewed_at = self._env.clock.monotonic()

    def run(self) -> BackupMeta:
        source, target = self._source, self._target
        extra = self._wanted()
        shared = self._creation.options.share_table_files

        # Listed only after the claim, and after the removals under way were read (`__init__`): what is left
        # may be relied on.
        if shared:
            self._look(target.list(names.SHARED))
        if extra:
            self._look(target.list(names.ATTACHMENTS))

        placed = [(meta, self._place(meta) if shared else None) for meta in source.state.tables]

        jobs: list[Callable[[], _Copied]] = []
        done = []
        for meta, place in placed:
            if place is not None and self._is_there(place, meta.size_bytes):
                done.append(_Copied(_shared_file(meta, place), written=False))
            else:
                jobs.append(self._table_job(meta, place))

        # Log, options and manifest are different in each backup, so they are always copied. An attachment has
        # to be read before its digest tells whether the target has it.
        jobs += [self._log_job(tail) for tail in source.log]
        jobs += [self._attachment_job(item) for item in extra]
        jobs += [self._small_job(path, data) for path, data in self._small_files().items()]

        self._expect([meta for meta, place in placed if place is None or not self._there_at(place)], extra)
        done += run_all(self._env, self._creation.options.max_background_operations, jobs)

        # A file that somebody else wrote may not be durable yet, and the meta must not name what a crash
        # could take away.
        settle(target, [copied.file.name for copied in done if not copied.written])
        self.raise_unless_all_there([copied.file for copied in done])

        written = {copied.file.name: copied.file.size_bytes for copied in done if copied.written}
        return BackupMeta(
            id=self._claim.id,
            database_id=source.state.database_id,
            position=source.position,
            flushed=source.state.flushed,
            epochs=source.state.epochs,
            commit_time_us=source.commit_time_us,
            created_us=source.taken_us or self._env.clock.wall_us(),
            copied_bytes=sum(written.values()),
            copied_files=len(written),
            metadata=self._creation.metadata,
            owner=self._claim.owner,
            files=tuple(sorted((copied.file for copied in done), key=lambda file: (file.kind, file.path))),
        )

    # What is there

    def _look(self, listed: dict[str, int]) -> None:
        for name, size in listed.items():
            identity = names.identity_of(name)
            if identity is not None and name not in self._condemned:
                self._there.setdefault(identity, {})[name] = size

    def _there_at(self, name: str) -> bool:
        return name in self._there.get(names.identity_of(name) or "", {})

    def _place(self, meta: TableMeta) -> str:
        return self._name_of(names.table_identity(meta))

    def _name_of(self, identity: str) -> str:
        """Where the file is, unless somebody is about to remove that, or else will be."""
        there = self._there.get(identity)
        return min(there) if there else names.shared_name(identity, self._claim.id)

    def _is_there(self, name: str, size_bytes: int) -> bool:
        """Raises CorruptionError when it is, and cannot be what its name says."""
        found = self._there.get(names.identity_of(name) or "", {}).get(name)
        if found is None:
            return False
        if found != size_bytes:
            raise CorruptionError(
                "the target is damaged: the file has another size than its name says; verify tells which "
                "backups it breaks, and once it is removed the next backup writes a file of its own",
                path=f"{self._target.url}/{name}",
                offset=min(found, size_bytes),
                expected=size_bytes,
                got=found,
            )
        return True

    # What is copied

    def _wanted(self) -> list[PlannedAttachment]:
        if self._creation.attachments is None:
            return []
        return wanted(self._env, self._creation.attachments, self._source.snapshot)

    def _expect(self, tables: Iterable[TableMeta], extra: Iterable[PlannedAttachment]) -> None:
        sizes = [meta.size_bytes for meta in tables]
        sizes += [tail.length for tail in self._source.log]
        sizes += [item.size_bytes for item in extra]
        sizes += [len(data) for data in self._small_files().values()]
        self._flow.meter.expect(len(sizes), sum(sizes))

    def _table_job(self, meta: TableMeta, place: str | None) -> Callable[[], _Copied]:
        def copy() -> _Copied:
            file = self._source.open_table(meta)
            try:
                if place is None:
                    name = names.private_name(self._claim.id, meta.name)
                    copied = BackupFile(
                        path=meta.name,
                        name=name,
                        size_bytes=meta.size_bytes,
                        sha256=meta.sha256,
                        kind="private",
                    )
                else:
                    copied = _shared_file(meta, place)

                # A table whose bytes do not have its digest raises here, and the target then keeps no file of
                # that name.
                self._target.write(copied.name, self._flow.checked(file, meta.size_bytes, meta.sha256))
            finally:
                file.close()

            self._file_done()
            return _Copied(copied, written=True)

        return copy

    def _log_job(self, tail: LogTail) -> Callable[[], _Copied]:
        def copy() -> _Copied:
            path = f"wal/{tail.name}"
            name = names.private_name(self._claim.id, path)
            hash = hashlib.sha256()
            file = self._source.open_log(tail)
            try:
                self._target.write(name, self._flow.write(self._flow.read(file, tail.length, hash)))
            finally:
                file.close()
            self._file_done()
            copied = BackupFile(
                path=path, name=name, size_bytes=tail.length, sha256=hash.digest(), kind="private"
            )
            return _Copied(copied, written=True)

        return copy

    def _attachment_job(self, item: PlannedAttachment) -> Callable[[], _Copied]:
        def copy() -> _Copied:
            attachment = OpenAttachment(self._env, item, self._source.taken_us)
            try:
                size = attachment.size_bytes
                hash = hashlib.sha256()

                # Read twice: the name contains the digest, and it is needed before the first byte is written.
                for _ in self._attachment_bytes(attachment, hash):
                    pass
                sha256 = hash.digest()
                attachment.check(sha256)

                # Several attachments may have the same content: only the first of them writes it.
                name = self._name_of(names.attachment_identity(sha256))
                written = not self._is_there(name, size) and self._is_first(name)
                if written:
                    self._target.write(name, self._attachment_chunks(attachment, sha256))
            finally:
                attachment.close()

            self._file_done()
            copied = BackupFile(path=item.name, name=name, size_bytes=size, sha256=sha256, kind="attachment")
            return _Copied(copied, written)

        return copy

    def _is_first(self, name: str) -> bool:
        with self._lock:
            first = name not in self._writing
            self._writing.add(name)
        return first

    def _attachment_chunks(self, attachment: OpenAttachment, sha256: bytes) -> Iterator[Bytes]:
        hash = hashlib.sha256()
        yield from self._flow.write(self._attachment_bytes(attachment, hash))
        attachment.check(hash.digest())
        if hash.digest() != sha256:
            raise CorruptionError("two reads of it gave different bytes", path=attachment.file.path, offset=0)

    def _attachment_bytes(self, attachment: OpenAttachment, hash: hashlib._Hash) -> Iterator[Bytes]:
        try:
            yield from self._flow.read(attachment.file, attachment.size_bytes, hash)
        except CorruptionError as error:
            raise AttachmentError(f"{attachment.file.path}: it was cut short while it was read") from error

    def _small_files(self) -> dict[str, bytes]:
        return {OPTIONS_NAME: self._source.options, **encode_state(self._source.state)}

    def _small_job(self, path: str, data: bytes) -> Callable[[], _Copied]:
        def copy() -> _Copied:
            name = names.private_name(self._claim.id, path)
            self._target.write(name, self._flow.write(iter([data])))
            self._file_done()
            digest = hashlib.sha256(data).digest()
            file = BackupFile(path=path, name=name, size_bytes=len(data), sha256=digest, kind="private")
            return _Copied(file, written=True)

        return copy

    def _file_done(self) -> None:
        self._flow.meter.file_done()
        now = self._env.clock.monotonic()
        every = max(self._creation.options.grace_seconds / 10, _RENEW_SECONDS_MIN)
        with self._lock:
            if now - self._renewed_at >= every:
                self._renewed_at = now
                self._claim.renew()

    def raise_unless_all_there(self, files: Iterable[BackupFile]) -> None:
        files = list(files)
        there = dict(self._target.list(f"{names.PRIVATE}{self._claim.id}/"))

        # A listing of a shared prefix returns the files of all backups, so it is made only when this one has
        # some there.
        for prefix, kind in ((names.SHARED, "shared"), (names.ATTACHMENTS, "attachment")):
            if any(file.kind == kind for file in files):
                there |= self._target.list(prefix)

        for file in files:
            found = there.get(file.name)
            if found is None:
                raise StoppedError(f"{self._target.url}/{file.name} was removed while the backup was made")
            if found != file.size_bytes:
                raise CorruptionError(
                    "the target is damaged: it did not keep what was written",
                    path=f"{self._target.url}/{file.name}",
                    offset=min(found, file.size_bytes),
                    expected=file.size_bytes,
                    got=found,
                )


def _shared_file(meta: TableMeta, name: str) -> BackupFile:
    return BackupFile(
        path=meta.name, name=name, size_bytes=meta.size_bytes, sha256=meta.sha256, kind="shared"
    )

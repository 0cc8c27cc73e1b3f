"""A node's state in LMDB, under `state/` in its data directory.

    node              NodeRecord         with the version of the format, and the release that opened it last
    shown             Shown              about once a second, and at each change of state
    bootstrap         BootstrapProgress  while one is under way
    verification      VerificationRecord       what was found about the data's soundness
    slot/<node id>    Slot               on a primary, one for each replica it keeps log for
    pause             PauseRecord        where a replica is to stand still; while it is paused
    role              RoleRecord         what the node was told to be
    rule              RuleRecord         whom it waited for when it led last, with failover
    peer/<node id>    KnownPeer               other nodes of this database, and where they were met

The store is the authority for what is applied; nothing here is ever needed to recover data. One process
writes, any process reads. Every write is one synced LMDB transaction and takes milliseconds: callers keep it
off the event loop. Not safe to use from two threads at once.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import lmdb

from replicad.env import DirectoryLock, Env
from replicad.errors import (
    ConfigError,
    CorruptionError,
    DiskFullError,
    NewerFormatError,
    NotFoundError,
    StoreError,
)
from replicad.options import MIB
from replicad.state.records import (
    FORMAT,
    BootstrapProgress,
    KnownPeer,
    NodeRecord,
    NodeView,
    PauseRecord,
    Record,
    RoleRecord,
    RuleRecord,
    Shown,
    Slot,
    VerificationRecord,
    decode,
    encode,
)
from replicad.version import VERSION as RELEASE

DIRECTORY = "state"
MAP_BYTES = 16 * MIB
NODE_ID_BYTES = 16

_NODE, _SHOWN, _BOOTSTRAP, _SLOT = b"node", b"shown", b"bootstrap", b"slot/"
_ROLE, _PEER = b"role", b"peer/"


_VERIFICATION, _PAUSE, _RULE = b"verification", b"pause", b"rule"


def check_name(data_dir: Path) -> None:
    """Raises ConfigError for a directory that LMDB cannot open, before anything is made in it."""
    path = str(data_dir.absolute())
    try:
        path.encode()
    except UnicodeEncodeError:
        raise ConfigError(
            f"data: the path of a node's directory must be UTF-8, and {path!r} is not: rename it, or name "
            f"another one"
        ) from None


class NodeState:
    """The writer's side; `NodeState.read` is the reader's.

    A write raises DiskFullError or StoreError, and then nothing of it is kept.
    """

    def __init__(self, env: Env, data_dir: Path) -> None:
        """Opens the state, or makes it with a new random node id."""
        self._env = env
        self.lock: DirectoryLock | None = None
        """Who holds the node's directory for this process; set by the one who took it."""
        self.path = data_dir / DIRECTORY

        fresh = not env.fs.exists(self.path / "data.mdb")
        env.fs.make_directories(self.path)

        # Before anything is opened for writing: a state of a later release stays as it is.
        if not fresh:
            _check_format(self.path)

        with _located(self.path):
            self._lmdb = lmdb.open(str(self.path), map_size=MAP_BYTES, mode=0o644)
            self._sync_directory(fresh)
            identity = self._get(_NODE)

        # The first start, or one after a crash before the id was written.
        if identity is None:
            record = NodeRecord(node_id=env.random.bytes(NODE_ID_BYTES), created_us=env.clock.wall_us())
        else:
            record = decode(NodeRecord, identity)

        # An older release can then say which one it needs.
        self.identity = replace(record, format=FORMAT, release=RELEASE)
        if identity is None or self.identity != record:
            self._put(_NODE, encode(self.identity))

    @property
    def node_id(self) -> bytes:
        """16 bytes, random, made with the directory."""
        return self.identity.node_id

    def show(self, shown: Shown) -> None:
        """Replaces what is shown. The caller read `shown.position` from durable data."""
        self._put(_SHOWN, encode(shown))

    def show_bootstrap(self, progress: BootstrapProgress | None) -> None:
        """Replaces or removes the bootstrap that is under way."""
        self._put(_BOOTSTRAP, None if progress is None else encode(progress))

    def put_verification(self, verification: VerificationRecord) -> None:
        self._put(_VERIFICATION, encode(verification))

    def put_pause(self, pause: PauseRecord | None) -> None:
        """Replaces or removes it."""
        self._put(_PAUSE, None if pause is None else encode(pause))

    def put_slot(self, slot: Slot) -> None:
        self._put(_SLOT + slot.node_id, encode(slot))

    def remove_slot(self, node_id: bytes) -> None:
        self._put(_SLOT + node_id, None)

    def put_role(self, role: RoleRecord) -> None:
        self._put(_ROLE, encode(role))

    def put_rule(self, rule: RuleRecord | None) -> None:
        """Replaces or removes it."""
        self._put(_RULE, None if rule is None else encode(rule))

    def put_peer(self, peer: KnownPeer) -> None:
        self._put(_PEER + peer.node_id, encode(peer))

    def remove_peer(self, node_id: bytes) -> None:
        self._put(_PEER + node_id, None)

    def view(self) -> NodeView:
        """What `read` shows to others."""
        return _view(self._lmdb, self.path)

    def close(self) -> None:
        self._lmdb.close()

    @staticmethod
    def read(data_dir: Path) -> NodeView:
        """Reads the state of a node whose daemon may run or be down.

        Raises NotFoundError when the directory has no state, CorruptionError when it cannot be read,
        NewerFormatError when a later release wrote it. Not for the process that has the state open: LMDB
        allows one handle a process.
        """
        path = data_dir / DIRECTORY
        if not (path / "data.mdb").is_file():
            raise NotFoundError(f"{data_dir} holds no node state")
        check_name(data_dir)

        with _located(path):
            try:
                environment = lmdb.open(str(path), map_size=MAP_BYTES, readonly=True, create=False)
            except lmdb.ReadonlyError:
                # A reader that may not write the lock file, on a read-only file system for instance, reads
                # without it.
                environment = lmdb.open(
                    str(path), map_size=MAP_BYTES, readonly=True, create=False, lock=False
                )

        try:
            return _view(environment, path)
        finally:
            environment.close()

    def _sync_directory(self, fresh: bool) -> None:
        """LMDB syncs its files, never the names of them."""
        if fresh:
            self._lmdb.sync(True)
        self._env.fs.sync_directory(self.path)

    def _get(self, key: bytes) -> bytes | None:
        with self._lmdb.begin() as transaction:
            value: bytes | None = transaction.get(key)
            return value

    def _put(self, key: bytes, value: bytes | None) -> None:
        try:
            with self._lmdb.begin(write=True) as transaction:
                if value is None:
                    transaction.delete(key)
                else:
                    transaction.put(key, value)
        except (lmdb.DiskError, lmdb.MapFullError) as error:
            raise DiskFullError(f"{self.path}: {error}") from None
        except lmdb.Error as error:
            raise StoreError(f"{self.path}: {error}") from None


def _check_format(path: Path) -> None:
    """Raises NewerFormatError for a state of a later release, whose files stay as they are.

    Nobody else may write the state meanwhile.
    """
    with _located(path):
        environment = lmdb.open(str(path), map_size=MAP_BYTES, readonly=True, create=False, lock=False)
        try:
            with environment.begin() as transaction:
                _identity(transaction.get(_NODE), path)
        finally:
            environment.close()


def _identity(data: bytes | None, path: Path) -> NodeRecord | None:
    if data is None:
        return None
    record = decode(NodeRecord, data)
    if record.format > FORMAT:
        by = f"replicad {record.release}, which opened it last" if record.release else "a later release"
        raise NewerFormatError(
            f"{path / 'data.mdb'}: {NewerFormatError.of('node state', record.format, FORMAT)}. Nothing was "
            f"changed. Open it with {by}; a replica may also begin again in an empty directory"
        )
    return record


def _view(environment: Any, path: Path) -> NodeView:
    # One transaction: all records of the view are of one moment.
    with _located(path), environment.begin() as transaction:
        identity, shown, bootstrap, role, verification, pause, rule = (
            transaction.get(key) for key in (_NODE, _SHOWN, _BOOTSTRAP, _ROLE, _VERIFICATION, _PAUSE, _RULE)
        )

        node = _identity(identity, path)
        if node is None:
            raise NotFoundError(f"{path} was never finished: it has no node id")

        return NodeView(
            identity=node,
            shown=None if shown is None else decode(Shown, shown),
            bootstrap=None if bootstrap is None else decode(BootstrapProgress, bootstrap),
            slots=tuple(_records(transaction, _SLOT, Slot)),
            role=None if role is None else decode(RoleRecord, role),
            peers=tuple(_records(transaction, _PEER, KnownPeer)),
            verification=None if verification is None else decode(VerificationRecord, verification),
            pause=None if pause is None else decode(PauseRecord, pause),
            rule=None if rule is None else decode(RuleRecord, rule),
        )


def _records(transaction: Any, prefix: bytes, kind: type[Record]) -> Iterator[Record]:
    cursor = transaction.cursor()
    found = cursor.set_range(prefix)
    while found and cursor.key().startswith(prefix):
        yield decode(kind, cursor.value())
        found = cursor.next()


@contextlib.contextmanager
def _located(path: Path) -> Iterator[None]:
    """Names the file in what LMDB or a decoder finds wrong."""
    try:
        yield
    except CorruptionError as error:
        raise CorruptionError(error.reason, path=path / "data.mdb") from None
    except (
        lmdb.InvalidError,
        lmdb.CorruptedError,
        lmdb.VersionMismatchError,
        lmdb.PageNotFoundError,
    ) as error:
        raise CorruptionError(str(error), path=path / "data.mdb") from None

"""What is fuzzed from Python: each reader, the errors that it may raise, and its checksums' repair.

A reader takes a whole file or stream. Raising one of `refusals` is an answer; anything else, a broken
assertion among it, is a failure.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from replicad import kernels
from replicad.backup import catalog, collections, meta
from replicad.backup.archive.frames import check_object
from replicad.backup.archive.names import LogObject, objects_of, parse_object
from replicad.backup.names import check_path, identity_of
from replicad.cli.explain.manifest import explain_current, explain_manifest
from replicad.cli.explain.segment import explain_segment
from replicad.cli.explain.table import explain_table
from replicad.cli.explain.text import explain_options
from replicad.daemon.config import load_primary, load_replica
from replicad.errors import (
    ConfigError,
    CorruptionError,
    InvalidArgument,
    NewerFormatError,
    ProtocolError,
    StoreError,
)
from replicad.replication.wire import messages
from replicad.replication.wire.framing import MessageDecoder, RawMessage
from replicad.server.options import ServerOptions
from replicad.server.requests import Request, RequestParser
from replicad.state import records
from replicad.store.database import Database, open_database
from replicad.store.directory.options_file import encode_options, read_options
from replicad.store.manifest.file import load
from replicad.store.table.file import open_table
from replicad.store.wal.segment import SegmentHeader
from replicad.types import DatabaseId, HistoryHash, Position, Sequence
from tests.fuzz import base, repair
from tests.support.backups.memory_target import MemoryTarget
from tests.support.files.memory_directory import memory_directory
from tests.support.files.memory_filesystem import Image, MemoryFileSystem

Refusals = tuple[type[Exception], ...]


def _as_it_is(data: bytes) -> bytes:
    return data


@dataclass(frozen=True)
class Reader:
    """`read` is given the input as it is, and once more as `repair` makes it."""

    read: Callable[[bytes], None]
    refusals: Refusals = (CorruptionError, NewerFormatError)
    repair: Callable[[bytes], bytes] = _as_it_is

    def run(self, data: bytes) -> None:
        """Raises whatever is a failure."""
        inputs = [data]
        if (repaired := self.repair(data)) != data:
            inputs.append(repaired)
        for each in inputs:
            try:
                self.read(each)
            except self.refusals:
                continue


# Streams: however they are cut into pieces, the same comes out.

_LIMITS = ServerOptions(
    arguments_max=64,
    bulk_bytes_max=4096,
    request_bytes_max=8192,
    inline_bytes_max=256,
    buffered_bytes_max=1 << 20,
)


def _pieces(data: bytes) -> list[bytes]:
    """The first byte of the input says how the rest comes."""
    size = max(1, data[0]) if data else 1
    return [data[at : at + size] for at in range(1, len(data), size)]


def _resp(data: bytes) -> None:
    def parse(pieces: list[bytes]) -> tuple[list[Request], bool]:
        parser = RequestParser(_LIMITS)
        found: list[Request] = []
        for piece in pieces:
            found += parser.feed(piece)
            if parser.error is not None:
                break
            assert parser.buffered_bytes <= len(data)
        return found, parser.error is not None

    assert parse(_pieces(data)) == parse([data[1:]]), "the requests depend on how the bytes came"


def _wire(data: bytes) -> None:
    def receive(pieces: list[bytes]) -> tuple[list[RawMessage], bool]:
        decoder = MessageDecoder(payload_bytes_max=1 << 16)
        found: list[RawMessage] = []
        try:
            for piece in pieces:
                found += decoder.feed(piece)
                assert decoder.buffered_bytes <= len(data)
        except ProtocolError:
            return found, True
        return found, False

    whole, whole_failed = receive([data[1:]])
    found, failed = receive(_pieces(data))
    assert failed == whole_failed, "an error depends on how the bytes came"
    assert whole_failed or found == whole, "the messages depend on how the bytes came"
    for raw in found:
        try:
            message = messages.decode(raw)
        except ProtocolError:
            continue
        head, payload = messages.encode(message)
        (again,) = MessageDecoder(payload_bytes_max=1 << 16).feed(head + payload)
        assert messages.decode(again) == message


def _message(data: bytes) -> None:
    """Kind, then the header map."""
    if data:
        messages.decode(RawMessage(data[0], data[1:], b""))


# Files of a database.


def _look(database: Database) -> None:
    """Reads everything that the database has."""
    for family in database.families.values():
        for key, value in database.scan(family=family):
            assert database.get(key, family=family) == value
        list(database.scan(family=family, reverse=True))
    for update in database.get_updates_since(1):
        list(update.batch.operations)


def _open(image: Image) -> None:
    """As a reader beside it, and as its owner, who goes on with it."""
    with open_database(base.DATA, base.OPTIONS, env=base.env_of(image), read_only=True) as database:
        _look(database)
    with open_database(base.DATA, base.OPTIONS, env=base.env_of(image), role="replica") as database:
        _look(database)


def _current(data: bytes) -> None:
    explain_current(data)
    _open(base.with_file(base.image(), base.name_of(base.image(), "CURRENT"), data))


def _manifest(data: bytes) -> None:
    image = base.image()
    name = base.name_of(image, "MANIFEST-*")
    explain_manifest(data, entries=True)
    load(base.env_of(base.with_file(image, name, data)).fs, base.DATA)
    _open(base.with_file(image, name, data))


def _segment(data: bytes) -> None:
    explain_segment(data, entries=True)
    image = base.log_image()
    _open(base.with_file(image, base.name_of(image, "*.log"), data))


def _table(data: bytes) -> None:
    explain_table(data, entries=True)
    image = base.image()
    (known,) = load(base.env_of(image).fs, base.DATA).tables
    said = replace(known, size_bytes=len(data), table_id=data[-68:-52])
    fs = MemoryFileSystem(base.with_file(image, str(base.DATA / known.name), data))
    table = open_table(fs, base.DATA, said, kernels.BlockCache(1 << 16))
    view = kernels.ReadView([], [], [[table.table]])
    for reverse in (False, True):
        cursor = view.scan(None, None, 2**56 - 1, reverse)
        while cursor.page(100):
            pass
    for key in (known.smallest, b"key-020", known.largest):
        view.get(key, 2**56 - 1)
    for block in table.blocks():
        kernels.decode_block(block)


def _options(data: bytes) -> None:
    path = base.DATA / "OPTIONS-000001.toml"
    explain_options(data)
    options, unknown = read_options(MemoryFileSystem({str(path): data}), path)
    again = encode_options(options, unknown)
    found, kept = read_options(MemoryFileSystem({str(path): again}), path)
    assert found == options and repr(kept) == repr(unknown), "options change when they are written again"


def _config(data: bytes) -> None:
    with tempfile.TemporaryDirectory(dir=memory_directory()) as directory:
        path = Path(directory) / "node.toml"
        path.write_bytes(data)
        for load_config in (load_primary, load_replica):
            try:
                load_config(path)
            except ConfigError as error:
                assert str(path) in str(error)


# Copies, and what a node keeps of itself.


def _document(data: bytes) -> None:
    for decode in (
        meta.decode_meta,
        meta.decode_pending,
        catalog.decode_catalog,
        collections.decode_collection,
        collections.decode_doubted,
        collections.decode_revoked,
    ):
        try:
            found = decode(data)
        except (CorruptionError, NewerFormatError):
            continue
        if isinstance(found, meta.BackupMeta):
            assert meta.decode_meta(meta.encode_meta(found)) == found
        elif isinstance(found, tuple):
            assert catalog.decode_catalog(catalog.encode_catalog(found)) == found
            catalog.infos(found)


def _state(data: bytes) -> None:
    for kind in (records.NodeRecord, records.Shown, records.BootstrapProgress, records.Slot):
        try:
            found = records.decode(kind, data)
        except CorruptionError:
            continue
        assert records.decode(kind, records.encode(found)) == found


def _archived(data: bytes) -> None:
    """Under the name that the object would have if it held what its seed holds."""
    try:
        header = SegmentHeader.decode(data)
    except (CorruptionError, NewerFormatError):
        return
    end = Position(header.epoch, header.previous.sequence, HistoryHash(0))
    scan = kernels.scan_frames(
        data[64:], header.database_id, header.previous.epoch, end.sequence, header.previous.history_hash
    )
    if scan.frames:
        end = Position(header.epoch, Sequence(scan.last_sequence), HistoryHash(scan.history_hash))
    each = LogObject(
        database_id=DatabaseId(header.database_id),
        first=type(end.sequence)(header.previous.sequence + 1),
        end=end,
        commit_time_us=scan.commit_time_us,
        size_bytes=len(data),
    )
    target = MemoryTarget()
    target.objects[each.name] = data
    check_object(target, each)


def _name(data: bytes) -> None:
    """Names and positions that come from a listing or from a peer."""
    text = data.decode("utf-8", "replace")
    found = parse_object(text, 7)
    assert found is None or found.name == text
    objects_of({text: 7})
    identity_of(text)
    try:
        path = check_path(text)
        assert (Path("/there") / path).resolve().is_relative_to("/there")
    except InvalidArgument:
        pass
    assert str(Position.parse(text)).lower() == text.lower()


READERS: dict[str, Reader] = {
    "resp": Reader(_resp),
    "wire": Reader(_wire, repair=lambda data: data[:1] + repair.wire(data[1:])),
    "message": Reader(_message, (ProtocolError,)),
    "config": Reader(_config),
    "current": Reader(_current, (StoreError,), repair.current),
    "manifest": Reader(_manifest, (StoreError,), repair.manifest),
    "segment": Reader(_segment, (StoreError,), repair.segment_file),
    "table": Reader(_table, repair=repair.table),
    "options": Reader(_options, (ConfigError, CorruptionError), repair.options),
    "document": Reader(_document, repair=repair.document),
    "state": Reader(_state),
    "archived": Reader(_archived, repair=repair.segment_file),
    "name": Reader(_name, (InvalidArgument,)),
}

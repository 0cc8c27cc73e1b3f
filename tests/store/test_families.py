"""Column families: apart from each other in keys, together in the log, the position and every copy."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import replicad
from replicad.env import Env
from replicad.options import FamilyOptions
from replicad.store.copies.checkpoint import install, list_files
from replicad.store.database import open_database
from replicad.store.manifest.file import ManifestWriter
from replicad.store.manifest.state import ManifestState
from tests.support.files.faulty_filesystem import FaultyFileSystem, Gate
from tests.support.stores.small import as_after_kill, small_options
from tests.support.waiting import eventually


def table_count(directory: Path) -> int:
    return len(list(directory.glob("*.sst")))


def fill(database: replicad.Database, family: int, count: int = 300) -> None:
    for number in range(count):
        database.put(b"key-%06d" % number, b"%d-" % family * 100, family=family)


def test_families_share_nothing_but_the_log(tmp_path: Path) -> None:
    """The same key has a value in each family, through flush, compaction and reopening."""
    with replicad.open(tmp_path / "db", small_options()) as database:
        orders, notes = database.create_family("orders"), database.create_family("notes")
        assert database.families == {"default": 0, "orders": 1, "notes": 2}
        for family in (0, orders, notes):
            assert database.put(b"k", b"of %d" % family, family=family) == 3 + family
        database.delete(b"k", family=notes)
        assert [database.get(b"k", family=family) for family in (0, 1, 2)] == [b"of 0", b"of 1", None]
        fill(database, orders)
        database.compact()
        assert list(database.scan()) == [(b"k", b"of 0")]
        assert sum(1 for _ in database.scan(family=orders)) == 301
        database.put(b"later", b"", family=notes)
    with replicad.open(tmp_path / "db", small_options()) as database:
        assert database.families == {"default": 0, "orders": 1, "notes": 2}
        assert sum(1 for _ in database.scan(family=orders)) == 301
        assert list(database.scan(family=notes)) == [(b"later", b"")]
        assert database.stats()["families"]["orders"]["id"] == orders


def test_families_come_and_go_when_it_is_visible(tmp_path: Path) -> None:
    """Under "sync" readers meet a creation or a drop when it is durable; the writer at once."""
    fs = FaultyFileSystem()
    with open_database(tmp_path / "db", small_options(durability="sync"), env=Env(fs=fs)) as database:
        old = database.create_family("old")
        database.put(b"a", b"1", family=old)
        gate = Gate()
        fs.on_sync = lambda path: gate(path) if path.suffix == ".log" else None
        new, created = database.submit_create_family("new")
        dropped = database.submit_drop_family(old)
        assert database.latest_sequence < created
        assert database.get(b"a", family=old) == b"1"
        assert list(database.scan(family=old)) == [(b"a", b"1")]
        assert database.newest.get(b"a", family=new) is None
        with pytest.raises(replicad.NotFoundError):
            database.get(b"a", family=new)
        with pytest.raises(replicad.NotFoundError):
            database.newest.get(b"a", family=old)
        with pytest.raises(replicad.NotFoundError, match="was dropped"):
            database.submit_put(b"a", b"2", family=old)
        gate.open.set()
        database.wait_durable(dropped)
        assert database.get(b"a", family=new) is None
        with pytest.raises(replicad.NotFoundError, match="was dropped"):
            database.get(b"a", family=old)


def test_a_batch_is_atomic_across_families(tmp_path: Path) -> None:
    """One frame, consecutive numbers; a snapshot sees all families at one sequence number."""
    with replicad.open(tmp_path / "db", small_options()) as database:
        family = database.create_family("f")
        batch = replicad.WriteBatch()
        batch.put(b"a", b"1")
        batch.put(b"a", b"2", family)
        batch.delete(b"b", family)
        assert database.write(batch) == 4
        with database.snapshot() as snapshot:
            database.put(b"a", b"3", family=family)
            assert (snapshot.get(b"a"), snapshot.get(b"a", family=family)) == (b"1", b"2")
        database.wait_durable(database.appended_sequence)
        updates = list(database.get_updates_since(1))
        assert [(operation.kind, operation.family) for operation in updates[0].batch.operations] == [(4, 1)]
        assert [operation.family for operation in updates[1].batch.operations] == [0, 1, 1]


def test_unknown_and_dropped_families_are_refused(tmp_path: Path) -> None:
    """Reads and writes of a family that is not there say so, and nothing of the batch is written."""
    with replicad.open(tmp_path / "db", small_options()) as database:
        family = database.create_family("f")
        database.drop_family(family)
        batch = replicad.WriteBatch()
        batch.put(b"good", b"")
        batch.put(b"bad", b"", family)
        for write in (
            lambda: database.put(b"k", b"", family=family),
            lambda: database.delete(b"k", family=family),
            lambda: database.submit_put(b"k", b"", family=family),
            lambda: database.write(batch),
            lambda: database.submit_many([(b"x", b""), batch]),
            lambda: database.get(b"k", family=family),
            lambda: database.newest.get(b"k", family=family),
            lambda: database.drop_family(family),
        ):
            with pytest.raises(replicad.NotFoundError, match="column family 1 was dropped"):
                write()
        with pytest.raises(replicad.NotFoundError, match="there is no column family 7"):
            database.put(b"k", b"", family=7)
        assert database.appended_sequence == 2 and list(database.scan()) == []
        with pytest.raises(replicad.InvalidArgument, match="default"):
            database.drop_family(0)
        database.create_family("f")
        for name in ("f", "default", "", "é" * 128):
            with pytest.raises(replicad.InvalidArgument):
                database.create_family(name)
        control = replicad.WriteBatch()
        control.add_drop_family(2)
        with pytest.raises(replicad.InvalidArgument, match="drop_family"):
            database.write(control)
        assert database.families == {"default": 0, "f": 2}


def test_a_drop_frees_the_files_and_never_the_id(tmp_path: Path) -> None:
    """Tables of a dropped family go, others stay, and a new family of the name is another one."""
    path = tmp_path / "db"
    with replicad.open(path, small_options()) as database:
        database.put(b"stays", b"")
        family = database.create_family("f")
        fill(database, family)
        database.flush()
        assert table_count(path) >= 2
        database.drop_family(family)
        eventually(lambda: table_count(path) == 1)
        assert database.create_family("f") == family + 1
        assert list(database.scan(family=family + 1)) == []
    with replicad.open(path, small_options()) as database:
        assert database.families == {"default": 0, "f": family + 1}
        assert database.get(b"stays") == b""
        with pytest.raises(replicad.NotFoundError, match="was dropped"):
            database.get(b"k", family=family)


def test_a_snapshot_reads_a_family_dropped_after_it(tmp_path: Path) -> None:
    """It keeps seeing what was there, in memtables and in tables, until it is closed; a later one not."""
    path = tmp_path / "db"
    with replicad.open(path, small_options()) as database:
        family = database.create_family("f")
        fill(database, family)
        database.flush()
        database.put(b"in memory", b"", family=family)
        digest = database.digest()
        with database.snapshot() as snapshot:
            database.drop_family(family)
            eventually(lambda: table_count(path) == 0)
            database.put(b"more", b"")
            database.flush()
            assert sum(1 for _ in snapshot.scan(family=family)) == 301
            assert snapshot.families == {"default": 0, "f": family}
            assert (snapshot.sequence, snapshot.digest()) == digest
            with database.snapshot() as later, pytest.raises(replicad.NotFoundError, match="was dropped"):
                later.get(b"k", family=family)
        assert database._core.version.dropped == frozenset()


def test_a_snapshot_does_not_see_a_family_made_after_it(tmp_path: Path) -> None:
    """Families are of the snapshot's sequence number, as keys are."""
    with replicad.open(tmp_path / "db", small_options()) as database:
        with database.snapshot() as snapshot:
            before = snapshot.digest()
            family = database.create_family("f")
            database.put(b"k", b"", family=family)
            assert snapshot.digest() == before and snapshot.families == {"default": 0}
            with pytest.raises(replicad.NotFoundError, match="no column family"):
                snapshot.get(b"k", family=family)
        assert database.digest()[1] != before


def test_kill_between_creation_and_first_write(tmp_path: Path) -> None:
    """A family whose creation is all that is known of it is there again, and takes writes."""
    database = replicad.open(tmp_path / "db", small_options(durability="sync"))
    family = database.create_family("f")
    left = as_after_kill(tmp_path / "db", tmp_path / "left")
    database.close()
    for turn in range(2):
        with replicad.open(left, small_options()) as again:
            assert again.families == {"default": 0, "f": family}
            again.put(b"%d" % turn, b"", family=family)
            assert sum(1 for _ in again.scan(family=family)) == turn + 1


@pytest.mark.parametrize("flushed", [False, True])
def test_kill_after_a_drop(tmp_path: Path, flushed: bool) -> None:
    """Replay skips what came before a drop, whether the tables had it or only the log; the files go."""
    database = replicad.open(tmp_path / "db", small_options(durability="sync", memtable_bytes=8 << 20))
    family = database.create_family("f")
    for number in range(100):
        database.submit_put(b"key-%d" % number, b"v" * 100, family=family)
    if flushed:
        database.flush()
    database.put(b"k", b"")
    before = as_after_kill(tmp_path / "db", tmp_path / "before")
    database.drop_family(family)
    log = {path.name: path.read_bytes() for path in (tmp_path / "db" / "wal").iterdir()}
    database.close()
    for name, content in log.items():
        (before / "wal" / name).write_bytes(content)
    with replicad.open(before, small_options()) as again:
        assert again.families == {"default": 0}
        assert again.latest_sequence == 103
        assert list(again.scan()) == [(b"k", b"")]
        assert table_count(before) == 1
        assert again.create_family("g") == family + 1


def test_a_replica_sees_families_in_order(tmp_path: Path) -> None:
    """Frames alone bring creations and drops; files, families and digests become the same."""
    options = small_options(log_retention_bytes=1 << 30)
    with replicad.open(tmp_path / "primary", options) as primary:
        first, second = primary.create_family("first"), primary.create_family("second")
        fill(primary, first)
        fill(primary, second)
        primary.drop_family(first)
        third = primary.create_family("third")
        primary.put(b"k", b"v", family=third)
        directory = tmp_path / "replica"
        make_empty_copy(primary, directory)
        primary.wait_durable(primary.appended_sequence)
        with open_database(directory, options, role="replica") as replica:
            cursor = primary.read_log(1)
            while chunk := cursor.next(10_000):
                replica.apply_frames(chunk.frames)
            cursor.close()
            assert replica.families == primary.families == {"default": 0, "second": 2, "third": 3}
            assert replica.digest() == primary.digest()
            with pytest.raises(replicad.ReadOnlyError):
                replica.create_family("own")
        with open_database(directory, options, role="replica") as replica:
            assert replica.families == primary.families
            assert replica.digest() == primary.digest()


def make_empty_copy(primary: replicad.Database, directory: Path) -> None:
    """A directory of the primary's identity that is at its origin."""
    directory.mkdir()
    state = ManifestState(database_id=primary.database_id, epochs=primary.epochs, copy=True)
    ManifestWriter(Env().fs, directory, state).abandon()


@pytest.mark.parametrize("flush", [False, True])
def test_a_checkpoint_holds_all_families_at_one_position(tmp_path: Path, flush: bool) -> None:
    """Also when a family was made or dropped after the last flush; the copy lives on by itself."""
    with replicad.open(tmp_path / "db", small_options(memtable_bytes=8 << 20)) as database:
        old = database.create_family("old")
        kept = database.create_family("kept")
        fill(database, old)
        fill(database, kept)
        database.flush()
        database.drop_family(old)
        new = database.create_family("new")
        database.put(b"k", b"v", family=new)
        digest = database.digest()
        assert database.create_checkpoint(tmp_path / "copy", flush=flush).position.sequence == digest[0]
        database.drop_family(kept)
        database.put(b"only here", b"", family=new)
    with replicad.open(tmp_path / "copy", small_options(), read_only=True) as copy:
        assert copy.digest() == digest
    with replicad.open(tmp_path / "copy", small_options()) as copy:
        assert copy.families == {"default": 0, "kept": kept, "new": new}
        assert copy.digest() == digest
        assert copy.create_family("another") == new + 1
        copy.put(b"k", b"w", family=kept)


def test_an_installed_copy_has_the_families(tmp_path: Path) -> None:
    """What a bootstrap ships, tables and manifest without any log, holds every family."""
    with replicad.open(tmp_path / "db", small_options()) as database:
        family = database.create_family("f")
        fill(database, family)
        database.create_checkpoint(tmp_path / "copy", flush=True)
        digest = database.digest()
    staging = tmp_path / "staging"
    staging.mkdir()
    for file in list_files(Env().fs, tmp_path / "copy"):
        shutil.copy(tmp_path / "copy" / file.name, staging / file.name)
    install(Env(), staging, tmp_path / "replica")
    with open_database(tmp_path / "replica", small_options(), role="replica") as replica:
        assert replica.families == {"default": 0, "f": family}
        assert replica.digest() == digest


def test_families_dropped_under_flush_and_compaction(tmp_path: Path) -> None:
    """A drop at any moment of background work leaves the others whole and no file behind."""
    path = tmp_path / "db"
    with replicad.open(path, small_options()) as database:
        stays = database.create_family("stays")
        for turn in range(8):
            family = database.create_family("goes")
            fill(database, family, 250 + 37 * turn)
            fill(database, stays, 100)
            database.drop_family(family)
        database.compact()
        assert database.failed is None
        eventually(lambda: table_count(path) == database.stats()["tables"])
        assert sum(1 for _ in database.scan(family=stays)) == 100
        digest = database.digest()
    with replicad.open(path, small_options()) as database:
        assert database.digest() == digest


def test_a_family_may_have_tables_of_its_own_kind(tmp_path: Path) -> None:
    """Options of one family change its tables and nobody else's; wrong ones are refused."""
    plain = replicad.FamilyOptions(compression="none")
    with replicad.open(tmp_path / "db", small_options()) as database:
        raw = database.create_family("raw", plain)
        packed = database.create_family("packed")
        fill(database, raw)
        fill(database, packed)
        database.flush()
        sizes = {name: family["table_bytes"] for name, family in database.stats()["families"].items()}
        assert sizes["raw"] > 2 * sizes["packed"]
    with replicad.open(tmp_path / "db", small_options(), families={"packed": plain}) as database:
        database.compact()
        sizes = {name: family["table_bytes"] for name, family in database.stats()["families"].items()}
        assert sizes["packed"] > 0
    with pytest.raises(replicad.InvalidArgument, match="block_bytes"):
        replicad.FamilyOptions(block_bytes=1)


def test_checkpoint_of_some_families(tmp_path: Path) -> None:
    """A checkpoint of chosen families holds these and the default one, at one position."""
    with replicad.open(tmp_path / "db", small_options()) as database:
        users, events = database.create_family("users"), database.create_family("events")
        for family in (0, users, events):
            database.put(b"k", b"%d" % family, family=family)
        made = database.create_checkpoint(tmp_path / "copy", families=[users])
        assert made.position == database.position
        database.put(b"later", b"v", family=events)
        with pytest.raises(replicad.NotFoundError):
            database.create_checkpoint(tmp_path / "none", families=[99])
        assert not (tmp_path / "none").exists()
    with replicad.open(tmp_path / "copy", small_options()) as copy:
        assert copy.families == {"default": 0, "users": users}
        assert (copy.get(b"k"), copy.get(b"k", family=users)) == (b"0", b"%d" % users)
        with pytest.raises(replicad.NotFoundError):
            copy.get(b"k", family=events)
        assert copy.create_family("events") > events


@pytest.mark.parametrize("reopen", [False, True])
def test_a_new_family_has_nothing_of_a_dropped_one_of_its_name(tmp_path: Path, reopen: bool) -> None:
    """Its options go with it: the next of that name has the database's, also after an opening."""
    database = replicad.open(tmp_path / "db", small_options())
    family = database.create_family("orders", FamilyOptions(block_bytes=1024))
    assert database._core.family_options["orders"].block_bytes == 1024
    database.drop_family(family)
    database.create_family("orders")
    if reopen:
        database.close()
        database = replicad.open(tmp_path / "db", small_options())
    assert "orders" not in database._core.family_options
    database.close()


def test_what_is_dropped_among_many_leaves_the_others_as_they_are(tmp_path: Path) -> None:
    """Only families with something in memory get new views at a seal: with thousands the rest is most of
    it."""
    with replicad.open(tmp_path / "db", small_options()) as database:
        ids = [database.create_family(f"family-{number}") for number in range(50)]
        database.put(b"k", b"v", family=ids[7])
        before = dict(database._core.version.families)
        database.flush()
        after = database._core.version.families
        assert [id for id in before if after[id] is not before[id]] == [ids[7]]
        for id in ids[:5]:
            database.drop_family(id)
        assert database._core.version.sealed == ()
        assert database.get(b"k", family=ids[7]) == b"v"

"""Promotion and demotion in place: the epoch record, what a crash leaves, whose frames are bounds."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import replicad
from replicad.env import Env
from replicad.errors import CorruptionError, DiskFullError, InvalidArgument, ReadOnlyError
from replicad.store.copies.checkpoint import write_checkpoint
from replicad.store.core import Role
from replicad.store.database import Database, open_database
from replicad.store.manifest.edit import Edit
from replicad.store.manifest.file import ManifestWriter, load
from replicad.store.roles import recorded_role
from replicad.store.write.control import decode_epoch
from replicad.types import ORIGIN, Epoch, EpochRecord, OperationKind
from tests.support.files.faulty_filesystem import FaultyFileSystem, io_error, no_space
from tests.support.stores.small import as_after_kill, fill, small_options

ID = b"e" * 16


def replica_of(primary: Database, path: Path, **options: object) -> Database:
    """A replica that holds what the primary holds."""
    primary.create_checkpoint(path)
    return open_database(path, small_options(**options), role="replica")


def stream(source: Database, target: Database) -> None:
    """Ships what the target lacks."""
    source.wait_durable(source.appended_sequence)
    cursor = source.read_log(target.position.sequence + 1)
    while (chunk := cursor.next()) is not None:
        target.apply_frames(chunk.frames)
    cursor.close()


def log_files(directory: Path) -> list[Path]:
    return sorted((directory / "wal").glob("*.log"))


@pytest.mark.parametrize("durability", ["sync", "async"])
def test_a_promoted_replica_takes_writes_in_a_new_epoch(tmp_path: Path, durability: str) -> None:
    """The epoch record is durable before the promotion returns, forks the history, and starts a segment."""
    with replicad.open(tmp_path / "p", small_options()) as primary:
        fill(primary, 20)
        with replica_of(primary, tmp_path / "r", durability=durability) as replica:
            fork = replica.position
            record = replica.promote(ID)
            assert record == EpochRecord(fork.epoch + 1, ID, fork)  # type: ignore[arg-type]
            assert replica.epochs[-1] == record
            assert replica.durable_sequence == fork.sequence + 1
            assert replica.database_id == primary.database_id
            (update,) = replica.get_updates_since(fork.sequence + 1)
            (operation,) = update.batch.operations
            assert operation.kind == OperationKind.EPOCH
            assert decode_epoch(operation.value or b"") == record
            sequence = replica.put(b"k", b"v")
            assert replica.get(b"k") == b"v"
            replica.wait_durable(sequence)
            assert log_files(tmp_path / "r")[-1].name == f"{2:010d}-{fork.sequence + 1:020d}.log"
            primary.put(b"k", b"other")
            primary.put(b"l", b"other")
            assert primary.position.history_hash != replica.position.history_hash
        with open_database(tmp_path / "r", small_options()) as again:
            assert again.database_id == primary.database_id
            assert again.position.epoch == 2
            assert again.notes == []
            again.put(b"k", b"w")


def test_an_epoch_that_was_heard_of_is_passed_over(tmp_path: Path) -> None:
    """A promotion can be told to begin above an epoch that it must fence."""
    with (
        replicad.open(tmp_path / "p", small_options()) as primary,
        replica_of(primary, tmp_path / "r") as replica,
    ):
        assert replica.promote(ID, at_least=7).epoch == 7
        assert replica.put(b"k", b"v") == replica.durable_sequence or replica.wait_durable(2)
        assert replica.position.epoch == 7
        with pytest.raises(InvalidArgument):
            replica.promote(ID)


@pytest.mark.parametrize(("id", "at_least"), [(b"short", 0), (ID, 1 << 32)])
def test_an_epoch_that_cannot_be(tmp_path: Path, id: bytes, at_least: int) -> None:
    """An id or a number that no log can hold is refused before anything is recorded."""
    with (
        replicad.open(tmp_path / "p", small_options()) as primary,
        replica_of(primary, tmp_path / "r") as replica,
    ):
        with pytest.raises(InvalidArgument):
            replica.promote(id, at_least=at_least)
        primary.put(b"k", b"v")
        stream(primary, replica)
    with open_database(tmp_path / "r", small_options(), role="replica") as replica:
        assert replica.promote(ID, at_least=(1 << 32) - 1).epoch == (1 << 32) - 1


def test_a_demoted_owner_follows_the_promoted_one(tmp_path: Path) -> None:
    """Roles change hands there and back, in place: no write of either epoch is missing anywhere."""
    with (
        replicad.open(tmp_path / "p", small_options(durability="sync")) as one,
        replica_of(one, tmp_path / "r", durability="sync") as two,
    ):
        nodes = [one, two]
        for turn in range(4):
            owner, other = nodes
            fill(owner, 30, start=turn * 30)
            last = owner.demote()
            assert owner.demote() == last
            with pytest.raises(ReadOnlyError):
                owner.put(b"k", b"v")
            with pytest.raises(ReadOnlyError):
                owner.submit_many([(b"k", b"v")])
            stream(owner, other)
            assert other.position == last
            other.promote(bytes([turn]) * 16)
            with pytest.raises(ReadOnlyError):
                other.apply_frames(b"")
            stream(other, owner)
            nodes.reverse()
        assert one.position == two.position
        assert one.digest() == two.digest()
        assert sum(1 for _ in one.scan()) == 120
        assert [record.epoch for record in one.epochs] == [1, 2, 3, 4, 5]
        assert one.epochs == two.epochs


def test_what_a_demotion_says_survives_a_restart(tmp_path: Path) -> None:
    """A demoted database that is opened for writing is another database, as every copy is."""
    with replicad.open(tmp_path / "p", small_options()) as primary:
        primary.put(b"k", b"v")
        primary.demote()
        identity = primary.database_id
    with open_database(tmp_path / "p", small_options(), role="replica") as replica:
        assert replica.database_id == identity
    with replicad.open(tmp_path / "p", small_options()) as other:
        assert other.database_id != identity


def test_a_crash_between_manifest_and_log_is_finished_by_opening(tmp_path: Path) -> None:
    """When only the manifest knows of the promotion the owner's opening writes the epoch record, once."""
    with (
        replicad.open(tmp_path / "p", small_options()) as primary,
    ):
        fill(primary, 20)
        replica = replica_of(primary, tmp_path / "r")
        record = replica.promote(ID)
        left = as_after_kill(tmp_path / "r", tmp_path / "left")
        replica.close()
        log_files(left)[-1].unlink()
    for _ in range(2):
        with open_database(left, small_options()) as again:
            assert again.epochs[-1] == record
            assert again.durable_position.epoch == 2
            assert again.durable_sequence == record.fork.sequence + 1
            assert again.database_id == primary.database_id


def test_an_epoch_that_begins_elsewhere(tmp_path: Path) -> None:
    """An owner whose manifest names an epoch of another place in the log is damaged, and says where."""
    with replicad.open(tmp_path / "p", small_options()) as primary:
        primary.put(b"k", b"v")
    fs = FaultyFileSystem()
    state = load(fs, tmp_path / "p")
    writer = ManifestWriter(fs, tmp_path / "p", state)
    writer.append(Edit(epochs=(*state.epochs, EpochRecord(Epoch(2), ID, ORIGIN))))
    writer.abandon()
    with pytest.raises(CorruptionError, match="epoch 2 does not begin where the log ends"):
        replicad.open(tmp_path / "p", small_options())


def test_a_full_disk_leaves_a_replica_that_follows_on(tmp_path: Path) -> None:
    """A promotion that finds no room for its record is taken back whole."""
    fs = FaultyFileSystem()
    with replicad.open(tmp_path / "p", small_options()) as primary:
        fill(primary, 5)
        primary.create_checkpoint(tmp_path / "r")
        with open_database(tmp_path / "r", small_options(), env=Env(fs=fs), role="replica") as replica:

            def full(path: Path) -> None:
                if path.suffix == ".log":
                    no_space(path)

            fs.on_append = full
            with pytest.raises(DiskFullError):
                replica.promote(ID)
            fs.on_append = None
            assert load(fs, tmp_path / "r").copy
            assert [record.epoch for record in replica.epochs] == [1]
            fill(primary, 5, start=5)
            stream(primary, replica)
            assert replica.position == primary.position
            replica.promote(ID)
            replica.put(b"k", b"v")


def frame_without_room(fs: FaultyFileSystem, meanwhile: Callable[[], object] = int) -> None:
    """From now on the header of a new segment fits on the disk, and no frame after it does."""
    appends = 0

    def full(path: Path) -> None:
        nonlocal appends
        if path.suffix == ".log":
            appends += 1
            if appends > 1:
                meanwhile()
                no_space(path)

    fs.on_append = full


def test_a_promotion_that_finds_no_room_can_be_made_again(tmp_path: Path) -> None:
    """The segment that got no epoch record is gone: the next try makes it, and older epochs never fill it."""
    fs = FaultyFileSystem()
    with replicad.open(tmp_path / "p", small_options()) as primary:
        fill(primary, 5)
        primary.create_checkpoint(tmp_path / "r")
        with open_database(tmp_path / "r", small_options(), env=Env(fs=fs), role="replica") as replica:
            follower = replica.read_log(1)
            assert follower.next() is not None
            for _ in range(2):
                frame_without_room(fs, meanwhile=follower.next)
                with pytest.raises(DiskFullError):
                    replica.promote(ID)
                fs.on_append = None
                assert follower.next() is None
            primary.put(b"k", b"v")
            stream(primary, replica)
            replica.wait_durable(replica.position.sequence)
            assert [path.name[:10] for path in log_files(tmp_path / "r")] == ["0000000001", "0000000001"]
            frame_without_room(fs)
            with pytest.raises(DiskFullError):
                replica.promote(ID)
            fs.on_append = None
            assert replica.promote(ID).epoch == 2
            shipped = [follower.next(), follower.next()]
            assert [chunk.position.epoch for chunk in shipped if chunk is not None] == [1, 2]
    with open_database(tmp_path / "r", small_options()) as again:
        assert again.position.epoch == 2
        assert again.notes == []


def test_a_replica_without_room_for_its_new_primary(tmp_path: Path) -> None:
    """The first frame of an epoch that found no room is applied when there is some."""
    fs = FaultyFileSystem()
    with (
        replicad.open(tmp_path / "p", small_options()) as primary,
        replica_of(primary, tmp_path / "n") as promoted,
    ):
        promoted.promote(ID)
        promoted.put(b"k", b"v")
        primary.create_checkpoint(tmp_path / "r")
        with open_database(tmp_path / "r", small_options(), env=Env(fs=fs), role="replica") as replica:
            frame_without_room(fs)
            with pytest.raises(DiskFullError):
                stream(promoted, replica)
            fs.on_append = None
            stream(promoted, replica)
            assert replica.position == promoted.position


def test_only_frames_of_its_own_are_bounds(tmp_path: Path) -> None:
    """Damage followed by frames of the former primary is a torn tail; by the node's own, corruption."""
    with replicad.open(tmp_path / "p", small_options(durability="sync")) as primary:
        primary.put(b"a", b"1")
        replica = replica_of(primary, tmp_path / "r", durability="sync")
        for number in range(5):
            primary.put(b"b%d" % number, b"2")
        stream(primary, replica)
        replica.wait_durable(replica.position.sequence)
        followed = as_after_kill(tmp_path / "r", tmp_path / "followed")
        replica.promote(ID)
        for number in range(5):
            replica.put(b"c%d" % number, b"3")
        promoted = as_after_kill(tmp_path / "r", tmp_path / "promoted")
        replica.close()
    for left in (followed, promoted):
        path = log_files(left)[-1]
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
    with open_database(followed, small_options(), role="replica") as again:
        assert "torn tail" in again.notes[0]
    with pytest.raises(CorruptionError, match="durable through"):
        open_database(promoted, small_options())


def test_a_cut_of_before_a_promotion_knows_nothing_of_it(tmp_path: Path) -> None:
    """Whatever the node has become until its copy is made: its epochs are those that led to its position."""
    with replicad.open(tmp_path / "p", small_options()) as primary:
        fill(primary, 5)
        with replica_of(primary, tmp_path / "r") as replica, replica.cut() as cut:
            replica.promote(ID)
            write_checkpoint(Env(), cut, tmp_path / "copy")
            assert [record.epoch for record in replica.epochs] == [1, 2]
    copy = load(Env().fs, tmp_path / "copy")
    assert [record.epoch for record in copy.epochs] == [1] and copy.synced.epoch == 1


def test_an_applied_epoch_is_known_after_its_log_is_in_tables(tmp_path: Path) -> None:
    """The manifest keeps it then, on the nodes that followed it as on the one that began it."""
    with replicad.open(tmp_path / "p", small_options()) as one, replica_of(one, tmp_path / "r") as two:
        fill(one, 5)
        stream(one, two)
        one.demote()
        two.promote(ID)
        fill(two, 5, start=5)
        stream(two, one)
        one.flush()
        epochs = two.epochs
    with open_database(tmp_path / "p", small_options(), role="replica") as again:
        assert again.epochs == epochs and again.epochs[-1].id == ID


@pytest.mark.parametrize("how", ["demoted", "opened as a replica"])
def test_who_followed_does_not_write_on_in_that_database(tmp_path: Path, how: str) -> None:
    """Its manifest says so from then on: started for writing, it is a database of its own, and never a second
    primary of the one that it followed."""
    with replicad.open(tmp_path / "p", small_options()) as primary:
        fill(primary, 5)
        identity = primary.database_id
        if how == "demoted":
            primary.demote()
            assert recorded_role(Env().fs, tmp_path / "p") == (False, 1)
    if how != "demoted":
        open_database(tmp_path / "p", small_options(), role="replica").close()
    assert recorded_role(Env().fs, tmp_path / "p") == (False, 1)
    with replicad.open(tmp_path / "p", small_options()) as other:
        assert other.database_id != identity


@pytest.mark.parametrize("change", ["promote", "demote"])
def test_a_manifest_in_doubt_stops_the_store(tmp_path: Path, change: str) -> None:
    """Whether it says replica or owner now nobody knows: it is neither, until it is opened again."""
    fs = FaultyFileSystem()
    with replicad.open(tmp_path / "db", small_options()) as primary:
        fill(primary, 5)
        if change == "promote":
            primary.demote()
    role: Role = "replica" if change == "promote" else "owner"
    database = open_database(tmp_path / "db", small_options(), env=Env(fs=fs), role=role)
    fs.on_sync = lambda path: io_error(path) if path.name.startswith("MANIFEST") else None
    with pytest.raises(OSError, match="Input/output error"):
        database.promote(ID) if change == "promote" else database.demote()
    fs.on_sync = None
    assert database.failed is not None
    for use in (lambda: database.put(b"k", b"v"), lambda: database.apply_frames(b"")):
        with pytest.raises(replicad.PoisonedError):
            use()
    database.close()


def test_a_crash_before_the_epoch_is_in_the_log_leaves_it_begun(tmp_path: Path) -> None:
    """The manifest has made the node an owner by then, and says of which epoch: never of the old one."""
    fs = FaultyFileSystem()
    left = tmp_path / "left"

    def crash(path: Path) -> None:
        if path.suffix == ".log" and not left.exists():
            as_after_kill(tmp_path / "r", left)

    with replicad.open(tmp_path / "p", small_options()) as primary:
        fill(primary, 5)
        primary.create_checkpoint(tmp_path / "r")
    with open_database(tmp_path / "r", small_options(), env=Env(fs=fs), role="replica") as replica:
        fs.on_append = crash
        record = replica.promote(ID)
    with open_database(left, small_options()) as again:
        assert again.database_id == primary.database_id
        assert again.durable_position.epoch == 2 and again.epochs[-1] == record

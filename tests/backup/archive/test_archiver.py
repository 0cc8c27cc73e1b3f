"""The log arrives in a target whole, whatever happens in between."""

from __future__ import annotations

from pathlib import Path

import pytest

from replicad import WriteBatch
from replicad.backup.archive.archiver import LogArchiver
from replicad.backup.archive.frames import check_object, read_line
from replicad.backup.archive.hold import ArchiveHold
from replicad.backup.archive.joined_log import line_from
from replicad.backup.archive.names import LogObject, objects_of
from replicad.backup.archive.options import ArchiveOptions
from replicad.daemon.backups.known_targets import KnownTargets
from replicad.env import Env
from replicad.errors import CorruptionError, InvalidArgument, LogGoneError, NotFoundError
from replicad.store.copies.live_files import LogFile
from replicad.store.database import Database, open_database
from replicad.types import ORIGIN, Position, Sequence
from tests.support.backups.memory_target import MemoryTarget
from tests.support.stores.small import fill, small_options
from tests.support.waiting import eventually


def catch_up(archiver: LogArchiver) -> None:
    while archiver.step():
        pass


def archived(target: MemoryTarget) -> list[LogObject]:
    return objects_of(target.list("log/"))


def settle(database: Database) -> None:
    assert database.wait_durable(database.appended_sequence, 30)


def check_whole(target: MemoryTarget, database: Database, start: Position = ORIGIN) -> None:
    """The archive is the database's log from `start` to its durable end, byte for byte."""
    line = line_from(archived(target), {}, start)
    assert not line.gaps
    frames = b"".join(chunk.frames for chunk in read_line(target, line.pieces, start))
    cursor = database.read_log(start.sequence + 1)
    expected = bytearray()
    while (chunk := cursor.next()) is not None:
        expected += chunk.frames
    cursor.close()
    assert frames == expected
    for each in archived(target):
        assert check_object(target, each) == each.size_bytes


def test_what_is_durable_is_archived(tmp_path: Path) -> None:
    """Small objects, then one large one in their place, hold the log byte for byte."""
    target = MemoryTarget()
    with open_database(tmp_path, small_options()) as database:
        archiver = LogArchiver(target, database, ArchiveOptions(object_bytes=20_000))
        for start in range(0, 300, 10):
            fill(database, 10, start=start)
            settle(database)
            catch_up(archiver)
            check_whole(target, database)
            assert archiver.archived == database.durable_position
        assert 2 <= len(archived(target)) < 25
        assert archiver.document()["lag_sequences"] == 0
        assert archiver.lag_bytes == 0


@pytest.mark.parametrize("parts_max", [1, 3, 600])
def test_it_goes_on_after_a_restart(tmp_path: Path, parts_max: int) -> None:
    """Another archiver goes on where the target ends, also after a crash before the small objects went."""
    target = MemoryTarget()
    options = ArchiveOptions(parts_max=parts_max)
    with open_database(tmp_path, small_options()) as database:
        for start in range(0, 100, 10):
            fill(database, 10, start=start)
            settle(database)
            kept = dict(target.objects)
            archiver = LogArchiver(target, database, options)
            catch_up(archiver)
            archiver.close()
            if start % 20:
                target.objects = kept | target.objects
            check_whole(target, database)
    with open_database(tmp_path, small_options()) as database:
        catch_up(LogArchiver(target, database, options))
        check_whole(target, database)


@pytest.mark.parametrize("method", ["list", "write", "delete"])
def test_a_target_that_fails(tmp_path: Path, method: str) -> None:
    """An error comes out of the step and nothing is lost; later steps make up for it."""
    target = MemoryTarget()
    failing = False

    def fail(called: str, name: str) -> None:
        if failing and called == method:
            raise OSError("the target is away")

    target.on_call = fail
    with open_database(tmp_path, small_options()) as database:
        archiver = LogArchiver(target, database, ArchiveOptions(parts_max=2))
        for start in range(0, 60, 10):
            fill(database, 10, start=start)
            settle(database)
            failing = True
            try:
                catch_up(archiver)
            except OSError:
                pass
            failing = False
            catch_up(archiver)
            check_whole(target, database)


def test_log_that_was_gone_is_a_gap(tmp_path: Path) -> None:
    """Log that retention took first is named; the archive goes on behind the gap."""
    target = MemoryTarget()
    options = small_options(log_retention_bytes=0)
    with open_database(tmp_path, options) as database:
        fill(database, 10)
        settle(database)
        archiver = LogArchiver(target, database)
        catch_up(archiver)
        end = archiver.archived
        assert end is not None
        fill(database, 2000, start=10)
        database.flush()
        settle(database)
        # All that may go has gone: what went while the archiver catches up would be a second gap.
        eventually(lambda: len(database.get_sorted_wal_files()) == 1)
        assert database.oldest_log_sequence > end.sequence + 1
        with pytest.raises(LogGoneError):
            archiver.step()
        catch_up(archiver)
        assert archiver.gap == (end.sequence + 1, archived(target)[-1].first - 1)
        line = line_from(archived(target), {}, ORIGIN)
        assert [(gap.first, gap.last) for gap in line.gaps] == [archiver.gap]


def test_a_replica_archives_as_well(tmp_path: Path) -> None:
    """What a replica archives joins what its primary did before."""
    target = MemoryTarget()
    with (
        open_database(tmp_path / "p", small_options()) as primary,
        open_database(tmp_path / "p2", small_options()) as other,
    ):
        fill(primary, 50)
        fill(other, 10)
        settle(primary)
        settle(other)
        primary.create_checkpoint(tmp_path / "r")
        catch_up(LogArchiver(target, primary))
        catch_up(LogArchiver(target, other))
        with open_database(tmp_path / "r", small_options(), role="replica") as replica:
            fill(primary, 50, start=50)
            settle(primary)
            cursor = primary.read_log(replica.appended_sequence + 1)
            while (chunk := cursor.next()) is not None:
                replica.apply_frames(chunk.frames)
            cursor.close()
            settle(replica)
            archiver = LogArchiver(target, replica)
            catch_up(archiver)
            assert archiver.gap is None
            check = MemoryTarget()
            prefix = f"log/{primary.database_id.hex()}/"
            check.objects = {name: data for name, data in target.objects.items() if name.startswith(prefix)}
            check_whole(check, primary)


def test_damage_is_named(tmp_path: Path) -> None:
    """A flipped byte anywhere in an object is corruption with its name and offset."""
    target = MemoryTarget()
    with open_database(tmp_path, small_options()) as database:
        fill(database, 20)
        settle(database)
        catch_up(LogArchiver(target, database))
    (each,) = archived(target)
    whole = target.objects[each.name]
    for at in range(0, len(whole), 97):
        target.objects[each.name] = whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :]
        with pytest.raises(CorruptionError) as caught:
            check_object(target, each)
        assert str(caught.value.path) == each.name
    target.objects[each.name] = whole[:-1]
    with pytest.raises(CorruptionError):
        check_object(target, each)


def test_a_goal_within_a_batch(tmp_path: Path) -> None:
    """A batch is atomic: the error names the sequence numbers before and after it."""
    target = MemoryTarget()
    with open_database(tmp_path, small_options()) as database:
        for _ in range(3):
            batch = WriteBatch()
            for key in (b"a", b"b", b"c"):
                batch.put(key, b"v")
            database.write(batch)
        settle(database)
        catch_up(LogArchiver(target, database))
    line = line_from(archived(target), {}, ORIGIN, Sequence(5))
    with pytest.raises(InvalidArgument, match="4 to 6; choose 3 or 6"):
        list(read_line(target, line.pieces, ORIGIN))
    line = line_from(archived(target), {}, ORIGIN, Sequence(6))
    assert [frames.position.sequence for frames in read_line(target, line.pieces, ORIGIN)] == [6]


def test_log_is_held_until_it_is_archived(tmp_path: Path) -> None:
    """What is not archived stays in the log, though retention would take it; too much of it does not."""
    target = MemoryTarget()
    hold = ArchiveHold(bytes_max=10 << 20)
    with open_database(tmp_path, small_options(log_retention_bytes=0), retention=hold) as database:
        archiver = LogArchiver(target, database, ArchiveOptions(object_bytes=40_000), hold)
        fill(database, 2000)
        database.flush()
        settle(database)
        assert database.oldest_log_sequence == 1
        catch_up(archiver)
        catch_up(archiver)
        assert hold.needed > 1000
        fill(database, 500, start=2000)
        database.flush()
        eventually(lambda: database.oldest_log_sequence > 1000)
        catch_up(archiver)
        assert archiver.gap is None
        line = line_from(archived(target), {}, ORIGIN)
        assert (line.gaps, line.end) == ((), database.durable_sequence)


@pytest.mark.parametrize(
    ("needed", "flushed", "short_bytes", "bytes_max", "expected"),
    [
        (1, 30, 0, 300, 1),
        (1, 30, 0, 299, None),
        (11, 30, 0, 299, 11),
        (1, 20, 0, 200, 1),  # the store needs the rest itself
        (1, 30, 1, 1000, None),  # the disk is full
        (31, 30, 1, 0, 31),  # nothing is held, so letting go would not help
    ],
)
def test_how_much_is_held(
    needed: int, flushed: int, short_bytes: int, bytes_max: int, expected: int | None
) -> None:
    """A hold lets go when it costs more than it may, or the disk has no room, and takes hold again after."""
    files = [LogFile(Path(), Sequence(last - 9), Sequence(last), 100, False) for last in (10, 20, 30)]
    hold = ArchiveHold(bytes_max)
    hold.needed = needed
    hold.enforce([*files], 30, flushed, short_bytes)
    assert hold.oldest_needed() == expected
    hold.enforce([], 30, flushed, 0)
    assert hold.oldest_needed() == needed


@pytest.mark.parametrize("moment", ["before", "while writing"])
def test_a_target_that_is_another_one_lets_nothing_go(tmp_path: Path, moment: str) -> None:
    """Where its disk is not mounted the log stays on the node, and is archived when it is there again."""
    target = MemoryTarget()
    hold = ArchiveHold(1 << 30)
    known = KnownTargets(Env(), tmp_path / "node")
    with open_database(tmp_path / "db", small_options()) as database:
        archiver = LogArchiver(target, database, ArchiveOptions(parts_max=1), hold, known.confirm)
        fill(database, 20)
        settle(database)
        catch_up(archiver)
        needed, mounted = hold.needed, target.objects

        def unmount(method: str, name: str) -> None:
            if method == "write" and name.startswith("log/"):
                target.objects = {}

        if moment == "while writing":
            target.on_call = unmount
        else:
            target.objects = {}
        for start in (20, 40):
            fill(database, 20, start=start)
            settle(database)
            with pytest.raises(NotFoundError, match="not the target that it was"):
                catch_up(archiver)
            assert hold.needed == needed
        target.on_call = lambda method, name: None
        target.objects = mounted
        catch_up(archiver)
        check_whole(target, database)
        assert archiver.archived == database.durable_position


def test_what_comes_meanwhile_waits_for_the_next_step(tmp_path: Path) -> None:
    """Under steady writes there is one small object each time that a step is due, not one after another."""
    target = MemoryTarget()
    with open_database(tmp_path / "db", small_options()) as database:
        archiver = LogArchiver(target, database)

        def write_on(method: str, name: str) -> None:
            if method == "write":
                fill(database, 1, start=len(target.objects))
                settle(database)

        target.on_call = write_on
        for steps in range(1, 4):
            fill(database, 5)
            settle(database)
            catch_up(archiver)
            assert len(archived(target)) == steps
        target.on_call = lambda method, name: None
        catch_up(archiver)
        check_whole(target, database)


def test_what_is_far_behind_catches_up_at_once(tmp_path: Path) -> None:
    """A whole object is followed by the next at once, until all that was durable is archived."""
    target = MemoryTarget()
    with open_database(tmp_path / "db", small_options()) as database:
        fill(database, 500)
        settle(database)
        archiver = LogArchiver(target, database, ArchiveOptions(object_bytes=4096))
        catch_up(archiver)
        assert len(archived(target)) > 1
        assert archiver.archived == database.durable_position

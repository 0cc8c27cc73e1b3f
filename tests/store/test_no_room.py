"""No room in the middle of something: it says so, nothing has changed, and with room it works."""

from __future__ import annotations

import errno
from collections.abc import Callable
from pathlib import Path

import pytest

from replicad.env import Env
from replicad.errors import DiskFullError, PoisonedError
from replicad.store.database import Database, open_database
from replicad.store.manifest.file import load
from replicad.store.table.meta import table_name
from tests.crash.script import DATA, Script, frames_of, options
from tests.support.files.faulty_filesystem import FaultyFileSystem
from tests.support.files.memory_filesystem import MemoryFileSystem
from tests.support.inline_runner import InlineRunner, inline_env
from tests.support.stores.small import fill, small_options
from tests.support.waiting import eventually

ID = b"an epoch's own id"[:16]


def full(fs: MemoryFileSystem, where: Callable[[str, Path, int], bool]) -> None:
    def before(call: str, path: Path, size: int) -> None:
        if call in ("append", "create", "mkdir", "link", "rename") and where(call, path, size):
            raise OSError(errno.ENOSPC, "full", str(path))

    fs.before = before


def heal(fs: MemoryFileSystem) -> None:
    fs.before = MemoryFileSystem().before


def primary() -> Script:
    script = Script(options(), path=Path("/primary"))
    script.put(b"a", b"1")
    script.database.create_base_copy(DATA)
    script.put(b"b", b"2")
    script.put(b"c", b"3")
    return script


def replica(of: Script, seed: int = 2) -> tuple[Database, MemoryFileSystem, InlineRunner]:
    image = {path: data for path, data in of.fs.image().items() if path.startswith(f"{DATA}/")}
    fs, runner = MemoryFileSystem(image), InlineRunner()
    env = inline_env(fs, runner, seed)
    return open_database(DATA, options(), env=env, role="replica"), fs, runner


def segments(fs: MemoryFileSystem) -> list[str]:
    return [name[:10] for name in fs.list(DATA / "wal") if name.endswith(".log")]


def test_a_promotion_without_room_can_be_tried_again() -> None:
    """The epoch that did not begin leaves no segment; until it begins, frames of the old one go on."""
    frames = frames_of(primary().database)
    database, fs, _ = replica(primary())
    for _ in range(2):
        full(fs, lambda call, path, size: path.name.startswith("0000000002-") and size > 64)
        with pytest.raises(DiskFullError):
            database.promote(ID)
        heal(fs)
    database.apply_frames(frames[1])
    assert segments(fs) == ["0000000001"]
    database.promote(ID)
    database.put(b"d", b"4")
    assert segments(fs) == ["0000000001", "0000000002"]


def test_a_new_epoch_without_room_can_be_tried_again() -> None:
    """A replica that follows into an epoch, and finds no room for its first frame, takes it later."""
    origin = primary()
    (first, fs, runner), (second, *_) = replica(origin), replica(origin, 3)
    second.promote(ID)
    frames = frames_of(second, 2)
    full(fs, lambda call, path, size: path.name.startswith("0000000002-") and size > 64)
    with pytest.raises(DiskFullError):
        first.apply_frames(frames[0])
    heal(fs)
    assert first.apply_frames(frames[0]) == second.position
    runner.run_all()
    assert first.durable_position == second.position


def test_a_promotion_that_cannot_be_taken_back_stops_the_store() -> None:
    """The manifest names the new epoch then, and opening decides: nobody is told that nothing has changed."""
    database, fs, _ = replica(primary())
    written: list[Path] = []

    def after_the_manifest(call: str, path: Path, size: int) -> bool:
        written.append(path)
        return any(path.name.startswith("MANIFEST") for path in written[:-1])

    full(fs, after_the_manifest)
    with pytest.raises(PoisonedError):
        database.promote(ID)
    assert database.failed is not None


@pytest.mark.parametrize("call", ["mkdir", "create", "append", "rename"])
def test_opening_without_room_says_so(call: str) -> None:
    """From the directory itself on."""
    fs = MemoryFileSystem()
    full(fs, lambda what, path, size: what == call)
    with pytest.raises(DiskFullError):
        open_database(DATA, options(), env=inline_env(fs, InlineRunner()))
    heal(fs)
    fs._locked.clear()
    open_database(DATA, options(), env=inline_env(fs, InlineRunner())).close()


@pytest.mark.parametrize("call", ["mkdir", "create", "append", "link", "rename"])
def test_a_checkpoint_without_room_says_so(call: str) -> None:
    """From its staging directory on; nothing of it is left."""
    script = primary()
    script.flush()
    full(script.fs, lambda what, path, size: what == call and "copies" in str(path))
    with pytest.raises(DiskFullError):
        script.database.create_checkpoint("/copies/one")
    heal(script.fs)
    assert not [name for name in script.fs.image() if name.startswith("/copies/one")]
    script.database.create_checkpoint("/copies/one")


@pytest.mark.parametrize("call", ["create", "append", "rename"])
@pytest.mark.parametrize("flushed", [False, True], ids=["log", "tables"])
def test_a_database_on_a_full_disk_opens_for_reading(call: str, flushed: bool) -> None:
    """With all that it holds; writes are refused until there is room, and then nothing is missing."""
    script = primary()
    if flushed:
        script.flush()
    fs, runner = MemoryFileSystem(script.fs.image()), InlineRunner()
    full(fs, lambda what, path, size: what == call)
    with open_database(script.path, options(), env=inline_env(fs, runner)) as database:
        assert [database.get(key) for key in (b"a", b"b", b"c")] == [b"1", b"2", b"3"]
        assert any("the disk is full" in note for note in database.notes)
        for write in (lambda: database.put(b"d", b"4"), lambda: database.get_live_files(flush=False)):
            with pytest.raises(DiskFullError, match="no room for a manifest"):
                write()
        heal(fs)
        runner.run_all()
        eventually(lambda: database.refused is None)
        database.put(b"d", b"4")
    with open_database(script.path, options(), env=inline_env(fs, InlineRunner())) as database:
        assert [database.get(key) for key in (b"a", b"b", b"c", b"d")] == [b"1", b"2", b"3", b"4"]
        assert len([name for name in fs.list(script.path) if name.startswith("MANIFEST")]) == 1


def test_a_database_closed_on_a_full_disk_is_as_it_was() -> None:
    """Opened and closed without room, twice: nothing was removed, nothing is lost."""
    script = primary()
    fs = MemoryFileSystem(script.fs.image())
    full(fs, lambda what, path, size: True)
    for _ in range(2):
        open_database(script.path, options(), env=inline_env(fs, InlineRunner())).close()
    heal(fs)
    with open_database(script.path, options(), env=inline_env(fs, InlineRunner())) as database:
        assert [database.get(key) for key in (b"a", b"b", b"c")] == [b"1", b"2", b"3"]


def test_an_opening_without_room_removes_nothing() -> None:
    """The power may take the last edit of the manifest that it read: what that removed counts again then."""
    script = primary()
    fs, runner = MemoryFileSystem(script.fs.image()), InlineRunner()
    leftover = script.path / table_name(load(fs, script.path).next_file)
    fs = MemoryFileSystem(script.fs.image() | {str(leftover): b"of before"})
    full(fs, lambda what, path, size: True)
    with open_database(script.path, options(), env=inline_env(fs, runner)) as database:
        assert fs.exists(leftover)
        # Nor is its number given again.
        heal(fs)
        runner.run_all()
        database.put(b"d", b"4")
        database.flush()
        assert fs.read_file(leftover) == b"of before"
    open_database(script.path, options(), env=inline_env(fs, InlineRunner())).close()
    assert not fs.exists(leftover)


def test_a_manifest_whose_name_finds_no_room_is_not_the_one_that_counts() -> None:
    """A rename without room has done nothing: the old manifest goes on, and a close is a close."""
    script = Script(options())
    script.put(b"a", b"1")
    full(script.fs, lambda call, path, size: call == "rename" and path.name == "CURRENT")
    script.database.close()
    heal(script.fs)
    script.database = script._open()
    assert script.database.get(b"a") == b"1"


def test_a_compaction_without_room_for_its_output_does_not_begin(tmp_path: Path) -> None:
    """It would fill the disk, fail and begin again, for ever: it waits, writes nothing, and says so."""
    fs = FaultyFileSystem()
    options = small_options(level0_compaction_tables=2, level0_stall_tables=100, disk_reserve_bytes=0)
    with open_database(tmp_path / "db", options, env=Env(fs=fs)) as database:
        free = 1000
        fs.free_bytes = lambda path: free  # type: ignore[method-assign]
        for start in range(0, 400, 100):
            fill(database, 100, start=start)
            database.flush()
        eventually(lambda: "compaction" in database._writer().core.no_room)
        assert database.refused is None and database.stats()["compactions"] == 0
        with pytest.raises(DiskFullError, match="a compaction waits for"):
            database.compact()
        free = 1 << 30
        eventually(lambda: database.stats()["compactions"] > 0 and not database._writer().core.no_room)
        assert sum(1 for _ in database.scan()) == 400

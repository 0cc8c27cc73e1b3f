"""The states that a crash may leave, of journals short enough to be thought through by hand."""

from __future__ import annotations

import random
from pathlib import Path

from tests.crash.states import Medium, Thoroughness
from tests.support.files.memory_filesystem import MemoryFileSystem

ALL = Thoroughness(contents=1000, orders=1000, mixtures=0)


def recorded() -> tuple[MemoryFileSystem, Medium]:
    fs = MemoryFileSystem({"/d/": b""})
    return fs, Medium(fs)


def images(fs: MemoryFileSystem, medium: Medium) -> list[dict[str, bytes]]:
    """All states after the journal, without the directory that is always there."""
    for operation in fs.journal:
        medium.apply(operation)
    fs.journal.clear()
    every = {state.key: state.image for state in medium.states(ALL, random.Random(1))}
    return [{path: data for path, data in image.items() if path != "/d/"} for image in every.values()]


def test_a_synced_file_may_lack_its_name() -> None:
    """The sync of a file is not the sync of its directory."""
    fs, medium = recorded()
    file = fs.create(Path("/d/f"))
    file.append(b"x")
    file.sync()
    assert sorted(images(fs, medium), key=len) == [{}, {"/d/f": b"x"}]
    fs.sync_directory(Path("/d"))
    assert images(fs, medium) == [{"/d/f": b"x"}]


def test_an_append_tears_where_sectors_end() -> None:
    """What was synced is there; of what was not, any sectors may be, and lost ones read as zeros."""
    fs, medium = recorded()
    file = fs.create(Path("/d/f"))
    file.append(b"a" * 500)
    file.sync()
    fs.sync_directory(Path("/d"))
    file.append(b"b" * 600)
    found = {image["/d/f"] for image in images(fs, medium)}
    before = b"a" * 500
    assert found == {
        before,
        before + b"b" * 12,
        before + b"b" * 524,
        before + b"b" * 600,
        before + bytes(600),
        before + bytes(12) + b"b" * 588,
        before + b"b" * 12 + bytes(512) + b"b" * 76,
        before + b"b" * 524 + bytes(76),
    }


def test_a_rename_arrives_whole() -> None:
    """The old content or the new one, under the name that was renamed to; never neither."""
    fs, medium = recorded()
    for name, data in (("f", b"old"), ("new", b"new")):
        file = fs.create(Path("/d") / name)
        file.append(data)
        file.sync()
    fs.sync_directory(Path("/d"))
    fs.rename(Path("/d/new"), Path("/d/f"))
    assert sorted(image["/d/f"] for image in images(fs, medium)) == [b"new", b"old"]
    assert all(("/d/new" in image) == (image["/d/f"] == b"old") for image in images(fs, medium))


def test_names_arrive_in_any_order() -> None:
    """A journal that does not keep the order may keep the second of two names alone."""
    fs, medium = recorded()
    fs.create(Path("/d/1"))
    fs.create(Path("/d/2"))
    found = sorted(sorted(image) for image in images(fs, medium))
    assert found == [[], ["/d/1"], ["/d/1", "/d/2"], ["/d/2"]]


def test_a_file_without_any_name_is_gone() -> None:
    """A lost directory takes what is in it along."""
    fs, medium = recorded()
    fs.make_directories(Path("/d/sub"))
    fs.create(Path("/d/sub/f")).sync()
    fs.sync_directory(Path("/d/sub"))
    assert images(fs, medium) == [{"/d/sub/": b"", "/d/sub/f": b""}]


def test_pages_of_a_failed_sync_never_arrive() -> None:
    """Even when a later sync of the same file says that all is well."""
    fs, medium = recorded()
    file = fs.create(Path("/d/f"))
    fs.sync_directory(Path("/d"))
    file.append(b"lost")

    def fail(call: str, path: Path, size: int) -> None:
        if call == "sync":
            raise OSError

    fs.before, before = fail, fs.before
    try:
        file.sync()
    except OSError:
        pass
    fs.before = before
    file.append(b"kept")
    file.sync()
    assert {image["/d/f"] for image in images(fs, medium)} == {bytes(4) + b"kept"}


def test_a_kill_keeps_the_page_cache() -> None:
    """Everything is seen after a kill, and no more of it is durable than before."""
    fs, medium = recorded()
    fs.create(Path("/d/f")).append(b"x")
    images(fs, medium)
    seen, after = medium.killed()
    assert seen.image() == fs.image()
    assert {} in images(seen, after) and {"/d/f": b"x"} in images(seen, after)

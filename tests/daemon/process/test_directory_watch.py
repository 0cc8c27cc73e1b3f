"""A data directory that is removed, or another one, under a running node."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from replicad.daemon.process.directory_watch import look, watch
from replicad.env import Env
from replicad.errors import PoisonedError
from replicad.store.database import open_database
from tests.support.nodes.programs import primary, primary_program, replica_of, streams
from tests.support.waiting import until


def replace_by_another(data: Path) -> None:
    """Its lock files and all are there, of another node that was made on the path."""
    data.rename(data.with_name("elsewhere"))
    shutil.copytree(data.with_name("elsewhere"), data)


def make_another(data: Path) -> None:
    shutil.rmtree(data)
    open_database(data).close()


HARMS: dict[str, Callable[[Path], object]] = {
    "all is removed": shutil.rmtree,
    "another one is in its place": replace_by_another,
    "another database was made there": make_another,
    "its log is removed": lambda data: shutil.rmtree(data / "wal"),
    "the newest segment is removed": lambda data: max((data / "wal").glob("*.log")).unlink(),
    "its CURRENT is removed": lambda data: (data / "CURRENT").unlink(),
    "its state is removed": lambda data: shutil.rmtree(data / "state"),
}


@pytest.mark.parametrize("harm", HARMS)
async def test_a_node_whose_directory_is_gone_acknowledges_nothing(tmp_path: Path, harm: str) -> None:
    """One look finds out, and then no write is taken."""
    async with primary(tmp_path / "p") as node:
        store = node.store
        assert store is not None
        await look(node.config.data, node.records, store)
        HARMS[harm](tmp_path / "p")
        with pytest.raises(PoisonedError, match="is not this node's own any more"):
            await look(node.config.data, node.records, store)
        with pytest.raises(PoisonedError):
            store.put(b"k", b"v")


async def test_a_log_directory_of_its_own_is_looked_at_too(tmp_path: Path) -> None:
    async with primary(tmp_path / "p", store__wal_dir=tmp_path / "log") as node:
        shutil.rmtree(tmp_path / "log")
        with pytest.raises(PoisonedError):
            await look(node.config.data, node.records, node.store)


async def test_a_replica_whose_directory_is_gone_ends(tmp_path: Path) -> None:
    """What it acknowledged as durable would be lost with it."""
    async with primary(tmp_path / "p") as p, replica_of(p, tmp_path / "r") as node:
        await until(lambda: streams(node, b"p"))
        shutil.rmtree(tmp_path / "r")
        with pytest.raises(PoisonedError):
            await watch(node.config.data, node.records, lambda: node.store)


async def test_a_look_that_fails_says_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Too few file descriptors, or a disk that does not answer, are no other directory."""

    def failing(path: Path) -> bool:
        raise OSError(5, "Input/output error")

    async with primary(tmp_path / "p") as node:
        with monkeypatch.context() as patched:
            patched.setattr(type(node.env.fs), "exists", lambda fs, path: failing(path))
            await look(node.config.data, node.records, node.store)
        assert node.store is not None and node.store.failed is None


def test_a_lock_knows_its_file(tmp_path: Path) -> None:
    """Not any file under that name, and none after it was released."""
    lock = Env().fs.lock(tmp_path / "LOCK")
    assert lock.is_in_place()
    (tmp_path / "LOCK").rename(tmp_path / "other")
    assert not lock.is_in_place()
    (tmp_path / "LOCK").touch()
    assert not lock.is_in_place()
    lock.release()
    assert not lock.is_in_place()


async def test_a_write_that_meets_it_first_ends_the_node_for_the_same_reason(tmp_path: Path) -> None:
    """An operator reads that the directory is gone, not that some file was not found."""
    async with primary_program(tmp_path / "p") as program:
        store = program.parts.store
        assert store is not None
        shutil.rmtree(tmp_path / "p")
        store.poison("No such file or directory")
        with pytest.raises(PoisonedError, match="is not this node's own any more"):
            await program.keep()

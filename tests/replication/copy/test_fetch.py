"""The replica's side of a bootstrap: what is taken of one connection's bytes."""

from __future__ import annotations

import asyncio
import hashlib
import threading
from collections import deque
from pathlib import Path

import pytest

from replicad.env import Clock, Env
from replicad.env.clock import SystemClock
from replicad.errors import ProtocolError
from replicad.options import MIB
from replicad.replication.copy.fetch import Fetcher, _Work
from replicad.replication.copy.staging import StagedFile, Staging
from replicad.replication.options import ReplicationOptions
from replicad.replication.wire.headers import FileEntry
from replicad.replication.wire.identify import Identity
from replicad.replication.wire.messages import Copy, Data, Fetch, Message
from tests.support.manual_clock import ManualClock
from tests.support.replication.fake_nodes import OPTIONS, FakeData
from tests.support.replication.fake_store import ZERO
from tests.support.replication.memory_connection import MemoryConnection, pair
from tests.support.waiting import let_tasks_run, until

CONTENT = b"content of the only file"
ENTRY = FileEntry("000001.sst", len(CONTENT), hashlib.sha256(CONTENT).digest())


def fetching(
    tmp_path: Path,
    entry: FileEntry = ENTRY,
    clock: Clock | None = None,
    options: ReplicationOptions = OPTIONS,
) -> tuple[Fetcher, _Work, MemoryConnection, MemoryConnection]:
    """A bootstrap of one file, which was asked for over the session's connection; both its ends."""
    primary, replica = pair()
    for end in (primary, replica):
        end.allow_payloads(1 << 20)
    env = Env(clock=clock or SystemClock())

    async def nobody() -> MemoryConnection:
        raise ConnectionRefusedError("nothing listens")

    fetcher = Fetcher(
        env, replica, Identity(b"R" * 16, b"r" * 16), nobody, FakeData().as_data(), tmp_path, options,
        lambda: ZERO, lambda progress: None,
    )  # fmt: skip
    staging = Staging(env.fs, tmp_path, [entry])
    here = staging.prepare({}, 0)
    work = fetcher._begin(Copy(b"c" * 16, ZERO, 1, entry.size), [entry], staging, here, entry.size)
    fetcher._ask(replica, work)
    return fetcher, work, primary, replica


def hold_writes(monkeypatch: pytest.MonkeyPatch) -> tuple[threading.Event, threading.Event]:
    """(set when a thread is about to write to a file, to be set by the test for it to go on)."""
    entered, may_write, append = threading.Event(), threading.Event(), StagedFile.append

    def slowly(file: StagedFile, data: bytes) -> None:
        entered.set()
        assert may_write.wait(10)
        append(file, data)

    monkeypatch.setattr(StagedFile, "append", slowly)
    return entered, may_write


async def test_what_a_cancelled_connection_wrote_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A thread that is writing goes on: the connection that takes the file over goes on behind its bytes."""
    fetcher, work, primary, replica = fetching(tmp_path)
    entered, may_write = hold_writes(monkeypatch)
    primary.send(Data(0, 0, CONTENT[:7]))
    taking = asyncio.create_task(fetcher._take(replica, work, deque()))
    await until(entered.is_set)
    taking.cancel()
    await let_tasks_run()
    may_write.set()
    with pytest.raises(asyncio.CancelledError):
        await taking
    work.plan.release(replica)
    piece = work.plan.claim("another connection")
    assert piece is not None and (piece.entry, piece.offset) == (0, 7) and work.progress.size_bytes == 7
    work.open[0].close()


async def test_what_came_whole_is_finished_when_the_connection_breaks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody asks for the file again: it is verified and named, and counts, though its last write was
    cancelled."""
    fetcher, work, primary, replica = fetching(tmp_path)
    entered, may_write = hold_writes(monkeypatch)
    primary.send(Data(0, 0, CONTENT))
    fetching_over = asyncio.create_task(fetcher._fetch_over(replica, work))
    await until(entered.is_set)
    fetching_over.cancel()
    await let_tasks_run()
    may_write.set()
    with pytest.raises(asyncio.CancelledError):
        await fetching_over
    assert work.progress.files == work.progress.files_total and not work.open and not work.broken
    assert (work.staging.path / ENTRY.name).read_bytes() == CONTENT


@pytest.mark.parametrize(
    "message",
    [
        Data(0, 1, CONTENT[1:]),
        Data(1, 0, CONTENT),
        Data(0, 0, b""),
        Data(0, 0, CONTENT + b"more"),
        Copy(b"c" * 16, ZERO, 1, 1),
    ],
)
async def test_bytes_that_nobody_asked_for_are_refused(tmp_path: Path, message: Message) -> None:
    """Another place, another file, nothing at all, more than was asked for: nothing of it is written."""
    fetcher, work, primary, replica = fetching(tmp_path)
    primary.send(message)
    with pytest.raises(ProtocolError):
        await fetcher._take(replica, work, deque())
    assert not work.open and work.progress.size_bytes == 0


async def test_a_window_grows_with_what_comes_in_a_delay(tmp_path: Path) -> None:
    """All that was asked for comes a tenth of a second later: each time twice as much is asked for, up to the
    bound."""
    clock, entry = ManualClock(), FileEntry("000001.sst", 100 * MIB, b"s" * 32)
    fetcher, work, primary, replica = fetching(tmp_path, entry, clock, ReplicationOptions())
    answered, nothing = 0, bytes(MIB)
    windows: list[int] = []
    while len(windows) < 4:
        asked = [message for message in replica.sent if isinstance(message, Fetch)]
        windows.append(sum(fetch.length for fetch in asked[answered:]))
        clock.now += 0.1
        for fetch in asked[answered:] if len(windows) < 4 else ():
            primary.send(Data(fetch.entry, fetch.offset, nothing))
            await fetcher._take(replica, work, deque())
            fetcher._ask(replica, work)
        answered = len(asked)
    assert windows == [8 * MIB, 8 * MIB, 16 * MIB, 32 * MIB]
    work.open[0].close()

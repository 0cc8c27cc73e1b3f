"""The background pass: a replica's real database against its primary's, over a session in memory."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from replicad.env import Env
from replicad.errors import CorruptionError, NotFoundError, ProtocolError, UpstreamDamagedError, UpstreamError
from replicad.replication.intake import DirectIntake
from replicad.replication.options import ReplicationOptions, VerificationOptions
from replicad.replication.primary.sender import Sender
from replicad.replication.replica.receiver import Receiver
from replicad.replication.verify.answering import WAITING_MAX, Answering, AnsweringSession
from replicad.replication.verify.comparison import Difference, DifferenceKind
from replicad.replication.verify.upstream import Upstream
from replicad.replication.verify.verifier import Result, Verifier
from replicad.replication.wire.identify import VERIFY
from replicad.replication.wire.messages import Question, WantMark
from replicad.store.database import Database, open_database
from replicad.store.marks import Mark, MarkId
from replicad.types import Operation, OperationKind
from tests.support.replication.memory_connection import pair
from tests.support.stores.small import fill, small_options
from tests.support.stores.tampering import flip_byte, tamper
from tests.support.waiting import until

LINK = ReplicationOptions()
MARK = Mark(MarkId(b"m" * 16), 60)


class Nodes:
    """A primary and a replica of real databases; `connect` makes the session between them."""

    def __init__(self, directory: Path, count: int) -> None:
        options = small_options(block_cache_bytes=0)
        self.primary = open_database(directory / "primary", options)
        fill(self.primary, count)
        self.orders = self.primary.create_family("orders")
        for number in range(300):
            self.primary.put(b"order-%04d" % number, b"paid", family=self.orders)
        self.primary.create_base_copy(directory / "replica")
        self.options = options
        self.directory = directory / "replica"
        self.replica: Database
        self.upstream = Upstream()
        self.damage: list[CorruptionError] = []
        self.spent = 0
        self.verifier: Verifier
        self.holds_answers: Callable[[], bool] = lambda: False
        """While it says so an answer waits for ever, or until its session ends."""
        self.answering = Answering(
            lambda: self.primary.marks,
            self._submit_mark,
            self.spend,
            self.damage.append,
        )
        self.tasks: list[asyncio.Task[None]] = []

    async def spend(self, size_bytes: int) -> None:
        self.spent += size_bytes
        if self.holds_answers():
            await asyncio.get_running_loop().create_future()

    def _submit_mark(self, mark: Mark) -> None:
        self.primary.submit_mark(mark)

    def open(self) -> None:
        self.replica = open_database(self.directory, self.options, role="replica")

    def connect(self) -> None:
        left, right = pair()
        for end in (left, right):
            end.allow_payloads(1 << 28)
        at = self.replica.position.sequence
        self.session = AnsweringSession(self.answering, left)
        sender = Sender(
            self.primary,
            left,
            LINK,
            sequence=at,
            durable=self.replica.durable_sequence,
            on_ack=lambda _: None,
            now=time.monotonic,
            answering=self.session,
        )
        receiver = Receiver(
            DirectIntake(self.replica), right, LINK, on_primary=lambda *_: None, upstream=self.upstream
        )
        self.upstream.attach(right, (VERIFY,))
        self.tasks += [asyncio.create_task(sender.run()), asyncio.create_task(receiver.run())]

    async def cut(self) -> None:
        self.upstream.detach()
        for task in self.tasks:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await task
        self.tasks.clear()

    async def verify(self, **changes: Any) -> Result:
        """One pass; `verifier` is there meanwhile."""
        results: list[Result] = []
        options = VerificationOptions(**{"interval_seconds": 3600, "bytes_per_second": 1 << 30, **changes})
        self.verifier = Verifier(Env(), self.upstream, lambda: self.replica, options, results.append)
        self.verifier.request()
        task = asyncio.create_task(self.verifier.run())
        try:
            await until(lambda: results, 30)
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        return results[0]


@pytest.fixture
async def nodes(tmp_path: Path) -> AsyncIterator[Nodes]:
    made = Nodes(tmp_path, 3000)
    try:
        yield made
    finally:
        await made.cut()
        made.primary.close()
        made.replica.close()


async def test_a_pass_beside_a_writer_finds_nothing(nodes: Nodes) -> None:
    """A pass beside a writer finds nothing, reads everything once on either side, and holds nothing after."""
    nodes.open()
    nodes.connect()
    done = threading.Event()

    def write() -> None:
        while not done.is_set():
            fill(nodes.primary, 50, value=b"changed")

    writer = threading.Thread(target=write)
    writer.start()
    try:
        result = await nodes.verify()
    finally:
        done.set()
        writer.join()
    assert result.is_good and result.compared_bytes > 300_000
    assert nodes.spent == result.compared_bytes
    await until(lambda: nodes.replica.stats()["leases"] == nodes.primary.stats()["leases"] == [])
    assert nodes.session.verified is not None
    assert nodes.session.verified[0].differences == 0


async def test_differences_are_named(nodes: Nodes) -> None:
    """Values, missing and extra keys of any family are in the result, and the primary hears how many."""
    changes: dict[int, dict[bytes, bytes | None]] = {
        0: {b"key-000777": b"x", b"key-002000": None},
        nodes.orders: {b"order-0100+": b"paid"},
    }
    tamper(nodes.directory, nodes.options, changes)
    nodes.open()
    nodes.connect()
    result = await nodes.verify()
    assert result.differences == (
        Difference(0, 0, b"key-000777", DifferenceKind.VALUE),
        Difference(0, 0, b"key-002000", DifferenceKind.MISSING),
        Difference(0, nodes.orders, b"order-0100+", DifferenceKind.EXTRA),
    )
    await until(lambda: nodes.session.verified is not None)
    assert nodes.session.verified is not None and nodes.session.verified[0].differences == 3


def marks_of(database: Database) -> list[Operation]:
    """Those in the log."""
    operations = [update.batch.operations for update in database.get_updates_since(1)]
    return [found for batch in operations for found in batch if found.kind == OperationKind.MARK]


async def test_a_pass_in_sections(tmp_path: Path) -> None:
    """A pass that takes longer than a snapshot may be held goes on at other marks, within its budget."""
    nodes = Nodes(tmp_path, 100)
    for number in range(200):
        nodes.primary.put(b"large-%04d" % number, bytes([number]) * 100_000)
    nodes.open()
    nodes.connect()
    try:
        result = await nodes.verify(section_seconds=0.05, bytes_per_second=32 << 20)
        assert result.is_good and result.compared_bytes > 20_000_000
        assert nodes.spent <= result.compared_bytes + len(marks_of(nodes.primary)) * 4 * (1 << 20)
        assert len(marks_of(nodes.primary)) > 1
        assert result.seconds > 0.5
    finally:
        await nodes.cut()
        nodes.primary.close()
        nodes.replica.close()


async def test_a_shorter_interval_counts_for_the_pass_that_is_due(nodes: Nodes) -> None:
    """One that waits for its time is woken; without an interval it would wait until it is asked."""
    nodes.open()
    nodes.connect()
    results: list[Result] = []
    options = VerificationOptions(interval_seconds=0, bytes_per_second=1 << 30)
    verifier = Verifier(
        Env(),
        nodes.upstream,
        lambda: nodes.replica,
        options,
        results.append,
        last_at_us=Env().clock.wall_us(),
    )
    running = asyncio.create_task(verifier.run())
    try:
        verifier.reconfigure(replace(options, interval_seconds=86400.0))
        verifier.reconfigure(replace(options, interval_seconds=0.01))
        await until(lambda: results)
        verifier.reconfigure(replace(options, interval_seconds=0))
        verifier.request()
        passes = len(results)
        await until(lambda: len(results) > passes)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def test_a_pass_goes_on_over_another_session(nodes: Nodes) -> None:
    """When the link breaks in the middle, the pass waits for the next one and goes on."""
    nodes.open()
    nodes.connect()
    for number in range(100):
        nodes.primary.put(b"large-%04d" % number, bytes([number]) * 100_000)

    def compared_bytes() -> int:
        comparison = nodes.verifier.comparison if hasattr(nodes, "verifier") else None
        return 0 if comparison is None else comparison.compared_bytes

    nodes.holds_answers = lambda: compared_bytes() > 0
    verifying = asyncio.create_task(nodes.verify(interval_seconds=0.1))
    await until(lambda: compared_bytes() > 0)
    await nodes.cut()
    compared = compared_bytes()
    await until(lambda: "another try" in nodes.verifier.waits_for)
    nodes.holds_answers = lambda: False
    nodes.connect()
    result = await verifying
    assert result.is_good and result.compared_bytes > compared


async def test_a_damaged_table_of_the_replica_ends_the_pass_with_its_file(nodes: Nodes) -> None:
    """A flipped byte in a table of the replica ends the pass with the file that is damaged."""
    damaged = flip_byte(nodes.directory)
    nodes.open()
    nodes.connect()
    result = await nodes.verify()
    assert not result.is_good and not result.differences
    assert result.damage is not None and result.damage.path == damaged


async def test_a_damaged_table_of_the_primary_is_told_to_the_primary(nodes: Nodes) -> None:
    """Rot in the primary's tables is told to the primary, and the replica does not call itself different."""
    nodes.open()
    nodes.primary.close()
    damaged = flip_byte(nodes.primary.path)
    nodes.primary = open_database(nodes.primary.path, nodes.options)
    nodes.connect()
    verifying = asyncio.create_task(nodes.verify())
    await until(lambda: nodes.damage)
    await until(lambda: "found rot" in nodes.verifier.waits_for)
    verifying.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await verifying
    assert nodes.damage[0].path == damaged
    nodes.primary.submit_mark(MARK)
    with pytest.raises(UpstreamDamagedError, match="found rot"):
        await nodes.upstream.contents(MARK.id).split(0, b"", None, 1 << 30, 1)


async def test_questions_without_an_answer_say_why(nodes: Nodes) -> None:
    """A mark that is not held, a family that is not there and a session that ended are told apart."""
    nodes.open()
    nodes.connect()
    contents = nodes.upstream.contents(MARK.id)
    with pytest.raises(NotFoundError):
        await contents.families()
    nodes.primary.submit_mark(MARK)
    assert await contents.families() == {0: "default", nodes.orders: "orders"}
    with pytest.raises(NotFoundError):
        await contents.split(99, b"", None, 100, 1)
    nodes.upstream.release(MARK.id)
    await until(lambda: not nodes.primary.marks.has(MARK.id))
    asking = asyncio.create_task(contents.families())
    await asyncio.sleep(0)
    nodes.upstream.detach()
    with pytest.raises(UpstreamError, match="ended before the answer"):
        await asking
    with pytest.raises(UpstreamError, match="no stream"):
        await contents.families()


async def test_a_peer_that_asks_too_much(nodes: Nodes) -> None:
    """Many questions at once, and questions about nothing, end the session; marks are not written at will."""
    nodes.open()
    left, _ = pair()
    session = AnsweringSession(nodes.answering, left)
    before = nodes.primary.position.sequence
    for number in range(WAITING_MAX - 2):
        session.take(Question(number, MARK.id, "families", 0, (), 0, 0))
    session.take(WantMark(MARK.id, 60))
    session.take(WantMark(MARK.id, 60))
    with pytest.raises(ProtocolError, match="at once"):
        session.take(Question(99, MARK.id, "families", 0, (), 0, 0))
    with pytest.raises(ProtocolError, match="at once"):
        session.take(WantMark(MARK.id, 60))
    assert nodes.primary.position.sequence == before
    running = asyncio.create_task(session.run())
    await until(lambda: nodes.primary.position.sequence > before)
    await asyncio.sleep(0)
    assert nodes.primary.position.sequence == before + 1
    running.cancel()
    for about, bounds in (("nonsense", (b"", None)), ("split", (b"",)), ("digests", (None, None))):
        with pytest.raises(ProtocolError):
            await nodes.answering.answer(Question(1, MARK.id, about, 0, bounds, 1, 1))

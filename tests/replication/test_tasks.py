"""The asyncio pieces that sessions are made of."""

from __future__ import annotations

import asyncio
import threading

import pytest

from replicad.replication.tasks import Wakeup, beside, in_thread, to_its_end, together
from tests.support.waiting import let_tasks_run, until


async def forever() -> None:
    await asyncio.Event().wait()


async def fail() -> None:
    await asyncio.sleep(0)
    raise ValueError("failed")


async def test_beside_returns_what_main_returns_and_ends_the_others() -> None:
    """The others are cancelled when main is done."""
    ended = []

    async def other() -> None:
        try:
            await forever()
        finally:
            ended.append(True)

    async def main() -> int:
        await asyncio.sleep(0)
        return 5

    assert await beside(main(), other(), other()) == 5
    assert ended == [True, True]


async def test_the_first_error_is_raised_bare() -> None:
    """An error of main or of another ends all and comes without a group around it."""
    with pytest.raises(ValueError, match="failed"):
        await beside(fail(), forever())
    with pytest.raises(ValueError, match="failed"):
        await beside(forever(), fail())


async def test_a_cancellation_is_not_lost_to_an_error_at_the_same_time() -> None:
    """A task that is cancelled while another part of it fails ends as cancelled."""
    begun = asyncio.Event()

    async def fails_when_cancelled() -> None:
        begun.set()
        try:
            await forever()
        finally:
            raise ValueError("on the way out")

    task = asyncio.create_task(beside(forever(), fails_when_cancelled()))
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_cancelled_caller_waits_for_its_thread() -> None:
    """What the thread uses is free when the cancellation arrives at the caller."""
    begun, go, done = threading.Event(), threading.Event(), threading.Event()

    def work() -> None:
        begun.set()
        go.wait(5)
        done.set()

    task = asyncio.create_task(in_thread(work))
    await until(begun.is_set)
    task.cancel()
    await let_tasks_run()
    assert not task.done()
    go.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert done.is_set()


async def test_a_cancelled_caller_waits_for_what_must_not_be_half_done() -> None:
    """The work runs on, also through a second cancellation; the caller ends as cancelled, also when the work
    failed."""
    go, ended = asyncio.Event(), []

    async def work() -> None:
        await go.wait()
        ended.append(True)
        raise ValueError("failed")

    task = asyncio.create_task(to_its_end(work()))
    for _ in range(2):
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        task.cancel()
    await asyncio.sleep(0)
    assert not task.done()
    go.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended == [True]


async def test_a_wakeup_from_another_thread_is_never_lost() -> None:
    """Every notification after a `clear` ends the wait."""
    wakeup = Wakeup()
    count = 0

    def count_up() -> None:
        nonlocal count
        for _ in range(1000):
            count += 1
            wakeup.notify()

    thread = threading.Thread(target=count_up)
    thread.start()
    async with asyncio.timeout(5):
        while True:
            wakeup.clear()
            if count == 1000:
                break
            await wakeup.wait()
    thread.join()


async def test_together_ends_with_the_first_error() -> None:
    """Results come in order; an error ends the others and leaves the caller as it was."""

    second_is_done = asyncio.Event()

    async def first() -> int:
        await second_is_done.wait()
        return 1

    async def second() -> int:
        second_is_done.set()
        return 2

    assert await together(first(), second()) == [1, 2]
    ended = asyncio.Event()

    async def until_cancelled() -> None:
        try:
            await forever()
        finally:
            ended.set()

    with pytest.raises(ValueError, match="failed"):
        await together(until_cancelled(), fail())
    assert ended.is_set()
    me = asyncio.current_task()
    assert me is not None and not me.cancelling()

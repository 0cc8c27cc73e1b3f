"""Fields that all events of a task have."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from replicad.env import events


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[dict[str, Any]]]:
    """The fields of each event."""
    found: list[dict[str, Any]] = []
    monkeypatch.setattr(events, "_writer", lambda level, event, fields: found.append(fields))
    yield found


async def test_what_outlives_a_task_has_none_of_its_fields(written: list[dict[str, Any]]) -> None:
    """The task that begins it keeps them."""
    log = events.get_logger()

    async def said() -> None:
        log.info("x")

    events.bind(session=1)
    await asyncio.create_task(said(), context=events.unbound())
    log.info("x")
    assert written == [{}, {"session": 1}]


async def test_what_is_bound_is_of_one_task_and_its_own(written: list[dict[str, Any]]) -> None:
    """Other tasks know nothing of it; None takes a field away; a field of the event itself counts more."""
    log = events.get_logger()

    async def session(number: int) -> None:
        events.bind(session=number, copy="c")
        await asyncio.sleep(0)
        await asyncio.create_task(said(number=number))
        events.bind(copy=None)
        log.info("x", session="own")

    async def said(**fields: Any) -> None:
        log.info("x", **fields)

    await asyncio.gather(session(1), session(2))
    log.info("x")
    assert written[-1] == {}
    assert sorted(written[:-1], key=str) == [
        {"session": "own"},
        {"session": "own"},
        {"session": 1, "copy": "c", "number": 1},
        {"session": 2, "copy": "c", "number": 2},
    ]

"""Applying frames makes the same memtables from a writer's commit, from a log, and in the oracle."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replicad import kernels
from replicad.errors import CorruptionError
from tests.support.oracle import batch as oracle
from tests.support.oracle import frame
from tests.support.oracle.memtable import Memtable, apply
from tests.support.stores import log_strategies as logs

FAMILIES = (0, 2, 300)


def empty_set() -> kernels.MemtableSet:
    memtables = kernels.MemtableSet()
    for family in FAMILIES:
        memtables.set(family, kernels.Memtable())
    return memtables


def contents(memtables: kernels.MemtableSet) -> dict[int, object]:
    return {family: memtables.get(family).items() for family in FAMILIES}  # type: ignore[union-attr]


@given(st.lists(logs.full_bodies, max_size=8))
def test_agrees_with_the_oracle(bodies: list[list[oracle.Record]]) -> None:
    """Puts and deletes land in their families; control operations come back with their numbers."""
    log = frame.Log(bytes(16))
    writer = kernels.FrameWriter(bytes(16), 1, 0, 0)
    twins = {family: Memtable() for family in FAMILIES}
    controls = []
    for body in bodies:
        apply(body, log.sequence + 1, twins)
        sequence = log.sequence + 1
        for record in body:
            if record[0] >= oracle.CREATE_FAMILY:
                controls.append((sequence, *record))
            sequence += record[0] != oracle.LOG_DATA
        log.append(body, 0, 0)
        writer.add_batch(logs.fill(kernels.Batch(), body), 0, 0)

    applied, committed, got = empty_set(), empty_set(), []
    offset = 0
    while offset < len(log.data):
        offset, found = kernels.apply_frames(log.data, applied, offset)
        assert found or offset == len(log.data)
        got += found
    writer.commit(committed)
    assert got == controls
    assert contents(applied) == contents(committed) == {f: twin.items() for f, twin in twins.items()}


def test_stops_after_the_frame_with_a_control_operation() -> None:
    """What follows a control operation waits until the caller has acted on it."""
    log = frame.Log(bytes(16))
    log.append([(oracle.PUT, 0, b"a", b"1")], 0, 0)
    log.append([(oracle.PUT, 0, b"b", b"2"), (oracle.CREATE_FAMILY, 5, b"five", None)], 0, 0)
    log.append([(oracle.PUT, 5, b"c", b"3")], 0, 0)
    memtables = empty_set()
    offset, controls = kernels.apply_frames(log.data, memtables)
    assert controls == [(3, oracle.CREATE_FAMILY, 5, b"five", None)]
    assert offset == len(log.frames[0] + log.frames[1])
    memtables.set(5, kernels.Memtable())
    assert kernels.apply_frames(log.data, memtables, offset) == (len(log.data), [])
    assert memtables.get(5).items() == [(b"c", 4, oracle.PUT, b"3")]  # type: ignore[union-attr]


def test_bytes_that_are_no_frames_are_an_error() -> None:
    """Frames are read within bounds even when nobody scanned them."""
    log = frame.Log(bytes(16))
    log.append([(oracle.PUT, 0, b"a", b"1")], 0, 0)
    for data in (log.data[:-1], log.data[:30], log.data[:56] + bytes(6)):
        with pytest.raises(CorruptionError):
            kernels.apply_frames(data, empty_set())
    with pytest.raises(CorruptionError):
        kernels.apply_frames(log.data, empty_set(), len(log.data) + 1)

"""Hypothesis strategies for batches, frames and damage to them."""

from __future__ import annotations

from hypothesis import strategies as st

from replicad import kernels
from tests.support.oracle import batch, frame

families = st.one_of(st.integers(0, 3), st.integers(0, 2**32 - 1))
# Keys that collide, share prefixes, or differ only by trailing zeros, beside arbitrary ones.
keys = st.one_of(
    st.sampled_from([b"", b"\0", b"a", b"a\0", b"a\0\0", b"key", b"key:0001", b"key:0001\0", b"key:00012"]),
    st.binary(max_size=20),
    st.binary(max_size=4).map(lambda suffix: b"a-long-common-prefix:" + suffix),
)
values = st.one_of(st.binary(max_size=40), st.integers(100, 300).map(lambda size: b"v" * size))

puts = st.tuples(st.just(batch.PUT), families, keys, values)
deletes = st.tuples(st.just(batch.DELETE), families, keys, st.none())
log_data = st.tuples(st.just(batch.LOG_DATA), st.just(0), st.just(b""), values)
controls = st.one_of(
    st.tuples(st.just(batch.CREATE_FAMILY), families, keys, st.none()),
    st.tuples(st.just(batch.DROP_FAMILY), families, st.just(b""), st.none()),
    st.tuples(st.just(batch.EPOCH), st.just(0), st.just(b""), st.binary(min_size=40, max_size=40)),
    st.tuples(st.just(batch.MARK), st.just(0), st.just(b""), values),
)
records: st.SearchStrategy[batch.Record] = st.one_of(puts, puts, deletes, log_data, controls)
bodies = st.lists(records, max_size=12)
full_bodies = st.lists(records, min_size=1, max_size=8)

database_ids = st.binary(min_size=16, max_size=16)
times_us = st.integers(0, 2**63)


@st.composite
def logs(draw: st.DrawFn, max_frames: int = 6) -> frame.Log:
    """A log of a few frames from some position on, now and then with a new epoch."""
    log = frame.Log(
        draw(database_ids),
        draw(st.integers(0, 2**31)),
        draw(st.one_of(st.just(0), st.integers(0, 2**55))),
        draw(st.integers(0, 2**64 - 1)),
    )
    for body in draw(st.lists(full_bodies, max_size=max_frames)):
        log.epoch += draw(st.sampled_from([0, 0, 0, 1]))
        log.append(body, draw(times_us), draw(st.integers(0, log.sequence)))
    return log


@st.composite
def damaged(draw: st.DrawFn, data: bytes) -> bytes:
    """`data` as it is, cut off, or with a byte changed, taken out, put in, or doubled."""
    if not data:
        return data
    at = draw(st.integers(0, len(data) - 1))
    byte = bytes([draw(st.integers(0, 255))])
    return draw(
        st.sampled_from(
            [
                data,
                data[:at],
                data[:at] + byte + data[at + 1 :],
                data[:at] + data[at + 1 :],
                data[:at] + byte + data[at:],
                data[:at] + data,
            ]
        )
    )


def fill(target: kernels.Batch, body: list[batch.Record]) -> kernels.Batch:
    """Puts the records into a kernel's batch, call by call."""
    for kind, family, key, value in body:
        if kind == batch.PUT:
            target.put(key, value or b"", family)
        elif kind == batch.DELETE:
            target.delete(key, family)
        elif kind == batch.LOG_DATA:
            target.put_log_data(value or b"")
        elif kind == batch.CREATE_FAMILY:
            target.add_create_family(family, key)
        elif kind == batch.DROP_FAMILY:
            target.add_drop_family(family)
        elif kind == batch.EPOCH:
            target.add_epoch(value or b"")
        else:
            target.add_mark(value or b"")
    return target

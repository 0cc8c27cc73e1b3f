"""A slice of `login.py`, and what a thousand connections cost that never log in."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fuzz.login import KEPT_BYTES_MAX, Guarded, connect, search_streams
from tests.support.waiting import eventually

SEED, STREAMS = 1, 300
UNFINISHED = b"*16\r\n$4\r\nAUTH\r\n$16000\r\n" + b"x" * 16_000 + b"\r\n$15900\r\n" + b"y" * 15_000
"""Of a request that may have 32 KiB."""
CONNECTIONS = {"clear": 1000, "tls": 100}
RESIDENT_BYTES_MAX = {
    "clear": KEPT_BYTES_MAX + 48 * 1024,
    "tls": KEPT_BYTES_MAX + 48 * 1024 + (1 << 18) + (1 << 17),
}
"""Of each connection: a request, the objects of Python, and over TLS the buffers of both ends, which are in
this process."""


def test_streams_before_a_login_are_answered_by_errors_only() -> None:
    """Nothing is executed, nothing raises, and 20 refusals are the end, in clear text and over TLS."""
    print(f"seed {SEED}")
    found = search_streams(seconds=0, first_seed=SEED, streams=STREAMS)
    if found.error is not None:
        raise AssertionError(f"stream {found.failing!r}") from found.error


@pytest.fixture(scope="module")
def guarded() -> Iterator[Guarded]:
    with Guarded() as running:
        yield running


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


@pytest.mark.parametrize("kind", ["clear", "tls"])
def test_who_never_logs_in_costs_bounded_memory_and_is_sent_away(
    guarded: Guarded, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each sends all but the end of the largest request that it may; when the time is over all are gone."""
    server = guarded.servers[kind == "tls"]
    with contextlib.ExitStack() as stack:
        before = resident_bytes()
        for number in range(CONNECTIONS[kind]):
            client = stack.enter_context(connect(server, f"127.1.{number // 250}.{number % 250 + 1}"))
            client.sendall(UNFINISHED)
        there = server.server.connections
        eventually(lambda: len(there) == CONNECTIONS[kind])
        eventually(lambda: all(each.buffered_bytes > 30_000 for each in list(there.values())))
        each = (resident_bytes() - before) / CONNECTIONS[kind]
        kept = max(connection.buffered_bytes for connection in list(there.values()))
        print(f"{kind}: {each:.0f} bytes resident and at most {kept} counted for each connection")
        assert each <= RESIDENT_BYTES_MAX[kind]
        assert kept <= KEPT_BYTES_MAX + (1 << 18) * (kind == "tls")

        monkeypatch.setattr("replicad.server.connection.LOGIN_SECONDS_MAX", 0.1)
        eventually(lambda: not there)
    assert not guarded.wrong

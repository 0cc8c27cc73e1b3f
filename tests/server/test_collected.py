"""A server that is over is collected, with its database: each exchange of the data makes a new one."""

from __future__ import annotations

import gc
from pathlib import Path

import pytest

import replicad
from tests.server.harness import RunningServer

KINDS = ("RespServer", "ServerState", "Database", "WritableCore", "Connection", "SocketWire")


def _alive() -> dict[str, int]:
    gc.collect()
    found = [type(each).__name__ for each in gc.get_objects()]
    return {kind: found.count(kind) for kind in KINDS}


def _watched() -> int:
    """How many descriptors of epoll this process has."""
    return sum(
        each.is_symlink() and "eventpoll" in str(each.readlink()) for each in Path("/proc/self/fd").iterdir()
    )


@pytest.mark.parametrize("on_uvloop", [False, True])
def test_a_closed_server_leaves_nothing(tmp_path: Path, *, on_uvloop: bool) -> None:
    """Whether nobody came, somebody did and went, or somebody was there to the end."""
    before, watched_before = _alive(), _watched()
    for number in range(3):
        running = RunningServer(replicad.open(tmp_path / str(number)), on_uvloop=on_uvloop)
        client = running.redis()
        if number:
            client.set("key", "value")
        if number == 1:
            client.close()
        running.close()
        client.close()
        del client, running
    assert [kind for kind, count in _alive().items() if count > before[kind]] == []
    assert _watched() <= watched_before

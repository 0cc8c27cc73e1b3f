"""What a client gets whose key is in a damaged table."""

from __future__ import annotations

from pathlib import Path

import pytest
import redis

from replicad.options import Options
from replicad.store.database import open_database
from tests.server.conftest import StartServer
from tests.server.harness import FakeNode
from tests.support.stores.tampering import flip_byte


def test_a_read_of_a_damaged_table_is_an_error_with_its_file_and_not_a_bug(
    start: StartServer, tmp_path: Path
) -> None:
    """The node hears of the damage, and `status` does not report commands that failed by a bug."""
    with open_database(tmp_path / "data", Options()) as database:
        database.put(b"k", b"v" * 1000)
        database.flush()
    (table,) = (tmp_path / "data").glob("*.sst")
    flip_byte(tmp_path / "data")

    node = FakeNode()
    running = start(open_database(tmp_path / "data", Options()), node)
    with redis.Redis(port=running.port) as client:
        with pytest.raises(redis.ResponseError, match=rf"CorruptionError: .*{table.name}: offset"):
            client.get("k")
        assert client.info("stats")["internal_errors"] == 0
    assert [error.path for error in node.corruptions] == [table]

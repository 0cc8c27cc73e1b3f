"""The demonstration's checks fail when there is something to find."""

from __future__ import annotations

from collections.abc import Iterator
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

import replicad
from replicad.cli.demonstration.library import SourceFile, standard_library
from replicad.cli.demonstration.processes import Daemon
from replicad.cli.demonstration.proof import check_annotations, check_files, check_transactions
from replicad.cli.demonstration.reporter import Reporter
from replicad.cli.demonstration.transactions import TransactionStream, annotation, transaction_key
from replicad.cli.nodes.node import LiveNode
from replicad.errors import DemoError
from replicad.options import Options
from tests.server.harness import RunningServer


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RunningServer]:
    running = RunningServer(replicad.open(tmp_path / "db", Options(durability="async")))
    yield running
    running.close()


@pytest.fixture
def node(server: RunningServer) -> Iterator[LiveNode]:
    live = LiveNode("127.0.0.1", server.port)
    yield live
    live.close()


def run_transactions(port: int, count: int) -> int:
    stream = TransactionStream(port)
    stream.start()
    stream.wait_for(count)
    return stream.stop()


def daemon_at(port: int, tmp_path: Path) -> Daemon:
    return Daemon("primary", "primary", tmp_path, [], port)


def test_the_input_is_what_the_interpreter_brought() -> None:
    """The input is what the interpreter brought, without what was installed or compiled."""
    files = standard_library()
    keys = [file.key for file in files]
    assert b"json/decoder.py" in keys
    assert keys == sorted(set(keys))
    assert not any(b"site-packages" in key or b"__pycache__" in key for key in keys)


def test_an_acknowledgement_too_many_is_found(server: RunningServer, node: LiveNode, tmp_path: Path) -> None:
    """A stream that nothing disturbed passes, and one acknowledgement too many does not."""
    count = run_transactions(server.port, 20)
    check_transactions(node, count)
    server.store.wait_durable(server.store.latest_sequence, 10)
    check_annotations(daemon_at(server.port, tmp_path), 1, count)
    with pytest.raises(DemoError, match="acknowledged"):
        check_transactions(node, count + 1)
    with pytest.raises(DemoError, match="1 missing"):
        check_annotations(daemon_at(server.port, tmp_path), 1, count + 1)


def test_a_transaction_that_was_done_twice_is_found(
    server: RunningServer, node: LiveNode, tmp_path: Path
) -> None:
    """A transaction that was done twice is found in the counter and in the annotations."""
    count = run_transactions(server.port, 5)
    batch = replicad.WriteBatch()
    batch.put(transaction_key(3), b"value of 3")
    batch.put(b"demo:counter", b"%d" % (count + 1))
    batch.put_log_data(annotation(3))
    server.store.write(batch)
    server.store.wait_durable(server.store.latest_sequence, 10)
    with pytest.raises(DemoError, match=f"counted {count + 1}"):
        check_transactions(node, count)
    with pytest.raises(DemoError, match="1 twice"):
        check_annotations(daemon_at(server.port, tmp_path), 1, count)


def test_a_missing_or_changed_file_is_named(server: RunningServer, node: LiveNode, tmp_path: Path) -> None:
    """A file that is not there, or has another content, is named."""
    (tmp_path / "a").write_bytes(b"content")
    files = [SourceFile(tmp_path / "a", b"a", 7)]
    out = StringIO()
    reporter = Reporter(Console(file=out))
    with reporter.stage("read", 7, size=True) as stage:
        with pytest.raises(DemoError, match="does not hold b'a'"):
            check_files(node, files, stage)
        node.client.call("SET", "a", "content")
        check_files(node, files, stage)
        node.client.call("SET", "a", "contenT")
        with pytest.raises(DemoError, match="another content"):
            check_files(node, files, stage)
    assert "read: 7 B in" in out.getvalue()


def test_a_daemon_that_fails_at_its_start_is_an_error_at_once(tmp_path: Path) -> None:
    """A daemon that ends at its start is an error at once, and its last words are kept."""
    daemon = daemon_at(1, tmp_path)
    daemon.command += ["--no-such-option"]
    with pytest.raises(DemoError, match="ended with exit code 2"):
        daemon.start()
    assert daemon.log_tail()
    daemon.abandon()

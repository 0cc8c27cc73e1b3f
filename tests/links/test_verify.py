"""`replicad verify` of linked primaries."""

from __future__ import annotations

import json
import subprocess
import sys

from tests.links.sites import Sites, write_everywhere


def verify(sites: Sites, *flags: str) -> subprocess.CompletedProcess[str]:
    nodes = [f"127.0.0.1:{node.port}" for node in sites.nodes]
    command = [sys.executable, "-m", "replicad", "verify", *nodes, *flags]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


def test_a_pair_is_equal_while_clients_write(pair: Sites) -> None:
    """What is on its way is no difference."""
    pair.link(0, 1)
    pair.link(1, 0)
    writers = write_everywhere(pair, seed=1, writes=1_000_000, keys=100_000)
    try:
        for _ in range(2):
            done = verify(pair)
            assert (done.returncode, done.stderr) == (0, ""), done.stdout
            assert done.stdout.startswith("equal in what is linked: ")
    finally:
        for writer in writers:
            writer.end()
        for writer in writers:
            writer.join()


def test_a_key_that_differs_is_named(pair: Sites) -> None:
    """What no link repairs: a write that leaves no stamp."""
    pair.link(0, 1)
    pair.link(1, 0)
    first, second = pair.nodes
    for number in range(1000):
        first.ask("SET", f"key:{number}", "x")
    pair.until_equal()
    pair.without_a_stamp(1, {b"key:500": None, b"key:501": b"y", b"new": b"z"})
    done = verify(pair, "--json")
    assert done.returncode == 4
    found = {row["key"]: row["kind"] for row in json.loads(done.stdout)["differences"]}
    assert found == {"key:500": "missing", "key:501": "value", "new": "extra"}
    assert "replicad link seed" in verify(pair, "--repair").stderr
    assert second.ask("GET", "key:500") is None


def test_what_cannot_be_compared_is_said(pair: Sites) -> None:
    assert "no links" in verify(pair).stderr
    second = pair.nodes[1]
    second.ask("REPLICAD.LINK", "ADD", "from0", pair.replication[0], "PREFIX", "eu:")
    pair.until_streaming(1, 0)
    assert "carries only some keys" in verify(pair).stderr

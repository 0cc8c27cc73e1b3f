"""redis-cli, as Debian packages it, works against the server."""

from __future__ import annotations

import re
import shutil
import subprocess

import pytest

from tests.server.harness import RunningServer

if shutil.which("redis-cli") is None:
    pytest.skip("redis-cli is missing: apt-get install redis-tools", allow_module_level=True)


def cli(server: RunningServer, *arguments: str, stdin: bytes = b"") -> str:
    done = subprocess.run(
        ["redis-cli", "-p", str(server.port), *arguments],
        input=stdin,
        capture_output=True,
        timeout=20,
        check=True,
    )
    assert done.stderr == b""
    return done.stdout.decode()


def test_commands_from_the_shell(server: RunningServer) -> None:
    """A value set is a value got; RESP3 too."""
    assert cli(server, "SET", "k", "v") == "OK\n"
    assert cli(server, "GET", "k") == "v\n"
    assert cli(server, "-3", "GET", "k") == "v\n"
    assert "READONLY" not in cli(server, "INCR", "n")
    assert "redis_version" in cli(server, "INFO")


def test_a_session_from_standard_input(server: RunningServer) -> None:
    """Transactions work line by line."""
    answer = cli(server, stdin=b"MULTI\nSET k 1\nINCR k\nEXEC\nGET k\n")
    assert answer.split() == ["OK", "QUEUED", "QUEUED", "OK", "2", "2"]


def test_mass_insertion_counts_the_replies(server: RunningServer) -> None:
    """--pipe sends everything at once and counts the replies."""
    protocol = b"".join([b"*3\r\n$3\r\nSET\r\n$6\r\nk%05d\r\n$2\r\nvv\r\n" % i for i in range(1000)])
    assert "errors: 0, replies: 1000" in cli(server, "--pipe", stdin=protocol)
    assert len(cli(server, "--scan", "--pattern", "k00[12]*").split()) == 200


@pytest.mark.skipif(shutil.which("redis-benchmark") is None, reason="redis-benchmark is missing")
def test_redis_benchmark_runs(server: RunningServer) -> None:
    """With pipelining, without an error."""
    load = ["-t", "set,get", "-n", "5000", "-P", "16", "-q", "--csv"]
    done = subprocess.run(
        ["redis-benchmark", "-p", str(server.port), *load],
        capture_output=True,
        timeout=60,
        check=True,
        text=True,
    )
    assert '"SET"' in done.stdout and '"GET"' in done.stdout
    assert "rror" not in done.stdout + done.stderr


def test_its_help_is_made_of_what_the_commands_take(server: RunningServer) -> None:
    """It asks COMMAND DOCS, and insists on how each part is encoded."""
    answer = re.sub(r"\x1b\[\d+m", "", cli(server, stdin=b"HELP set\nHELP config get\nHELP replicad.wait\n"))
    assert "SET key value [NX|XX] [GET] [KEEPTTL]" in answer
    assert "CONFIG GET pattern [pattern ...]" in answer
    assert "REPLICAD.WAIT RECEIVED|APPLIED|DURABLE numreplicas milliseconds" in answer

"""What a command must not load: each of these takes time before the command does anything."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

SHOW = "import atexit, sys; atexit.register(lambda: print(*sys.modules)); "
MAIN = SHOW + "from replicad.cli.main import main; sys.exit(main(sys.argv[1:]))"

SLOW = frozenset({"aiohttp", "asyncio", "lmdb", "prometheus_client", "rich", "structlog", "uvloop"})
PARTS = frozenset({"replicad.backup", "replicad.daemon", "replicad.server", "replicad.store"})

COMMANDS: dict[str, tuple[list[str], frozenset[str]]] = {
    "version": (["--version"], SLOW | PARTS | {"pydantic", "replicad.replication"}),
    "help": (["--help"], SLOW | PARTS | {"pydantic", "replicad.replication"}),
    "status of a node": (["status", "127.0.0.1:1"], SLOW | PARTS | {"replicad.replication"}),
}
PROGRAMS: dict[str, tuple[str, frozenset[str]]] = {
    "the package": ("import replicad", SLOW | PARTS | {"pydantic", "typer", "replicad.library"}),
    "the library": (
        "import replicad; replicad.open",
        (SLOW - {"asyncio"}) | {"pydantic", "typer", "hiredis", "replicad.daemon", "replicad.server"},
    ),
    "a change feed": (
        "import replicad; replicad.follow(':6380')",
        (SLOW - {"asyncio"}) | {"pydantic", "typer", "replicad.daemon", "replicad.server"},
    ),
}
DAEMON = frozenset(
    {
        "aiohttp",
        "prometheus_client",
        "rich",
        "structlog",
        "replicad.backup.engine",
        "replicad.backup.archive.log",
    }
    | {"replicad.backup.restore.operation", "replicad.cli.demonstration", "replicad.server.http"}
)
"""What a daemon without an HTTP port and without backups never needs."""


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_loads_only_what_it_uses(name: str) -> None:
    """The modules are counted when the command has ended."""
    arguments, unwanted = COMMANDS[name]
    assert not _loaded(MAIN, *arguments) & unwanted


@pytest.mark.parametrize("name", PROGRAMS)
def test_the_package_loads_only_what_is_used(name: str) -> None:
    """A program that embeds the store loads no daemon and no command line."""
    program, unwanted = PROGRAMS[name]
    assert not _loaded(SHOW + program) & unwanted


@pytest.mark.parametrize("role", ["primary", "replica"])
def test_a_daemon_serves_without_what_it_was_not_asked_for(role: str, tmp_path: Path) -> None:
    """HTTP, backups and output for people are loaded when they are used."""
    upstream = ["--primary", "127.0.0.1:1"] if role == "replica" else []
    ports = ["--listen", "127.0.0.1:0", "--replication", "127.0.0.1:0"]
    command = [sys.executable, "-c", MAIN, role, "--data", str(tmp_path / "data"), *ports, *upstream]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as daemon:
        assert daemon.stderr is not None and daemon.stdout is not None
        assert any("daemon.listening" in line for line in daemon.stderr)
        daemon.send_signal(signal.SIGTERM)
        loaded = frozenset(daemon.stdout.read().split())
    assert "replicad.daemon.program" in loaded
    assert not loaded & DAEMON


def _loaded(program: str, *arguments: str) -> frozenset[str]:
    """The modules that a process has loaded when it ends."""
    command = [sys.executable, "-c", program, *arguments]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, timeout=60)
    loaded = frozenset(done.stdout.split())
    assert "replicad" in loaded
    return loaded

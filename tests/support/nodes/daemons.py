"""Real daemon processes on the loopback: started, killed, asked, and never left behind."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import redis

from replicad.cli.demonstration.ports import HOST, free_ports
from tests.support.waiting import eventually

STOP_SECONDS = 20.0

Tables = Mapping[str, Mapping[str, Any]]

SMALL: Tables = {
    "store": {"memtable_bytes": 65536, "segment_bytes": 16384, "block_cache_bytes": 1 << 20},
    "link": {
        "heartbeat_seconds": 0.1,
        "idle_seconds": 3.0,
        "backoff_seconds_min": 0.02,
        "backoff_seconds_max": 0.2,
        "stopped_retry_seconds": 0.2,
        "free_bytes_min": 0,
    },
}
"""Everything small and quick, so that rotation, flushes and retries happen within a test."""


class Daemon:
    """One node: its configuration file, its directory, its current process."""

    def __init__(self, directory: Path, role: str, name: str, tables: Tables, **keys: Any) -> None:
        self.role = role
        self.name = name
        self.data = directory / name
        self.log = directory / f"{name}.log"
        self.host, _, port = keys["listen"].rpartition(":")
        self.port = int(port)
        self.config = directory / f"{name}.toml"
        self.keys: dict[str, Any] = {"data": str(self.data), **keys}
        self.configure(tables)
        self.environment: dict[str, str] = {}
        self.wrapper: list[str] = []
        self.process: subprocess.Popen[bytes] | None = None

    def configure(self, tables: Tables) -> None:
        """Writes the configuration: SMALL with `tables` over it."""
        lines = [f"{name} = {json.dumps(value)}" for name, value in self.keys.items()]
        lines += ["[log]", 'format = "json"']
        for table in SMALL.keys() | tables.keys():
            values = {**SMALL.get(table, {}), **tables.get(table, {})}
            lines += [f"[{table}]", *(f"{name} = {json.dumps(value)}" for name, value in values.items())]
        self.config.write_text("\n".join(lines) + "\n")

    def spawn(self) -> None:
        """Starts the process without waiting for anything."""
        assert self.process is None
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                [*self.wrapper, sys.executable, "-m", "replicad", self.role, "--config", str(self.config)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, **self.environment},
                start_new_session=True,  # so that a wrapper that stays beside the node gets its signals too
            )

    def start(self) -> Daemon:
        """Starts the process; returns when it serves clients from data."""
        self.spawn()
        eventually(self.serves)
        return self

    def serves(self) -> bool:
        """Whether it answers from data; fails when the process ended."""
        assert self.process is not None
        assert self.process.poll() is None, f"ended with {self.process.returncode}: {self.tail()}"
        try:
            with self.client() as client:
                return bool(client.ping())
        except (redis.ConnectionError, redis.TimeoutError, redis.exceptions.BusyLoadingError):
            return False

    def client(self) -> redis.Redis:
        return redis.Redis(host=self.host, port=self.port, socket_timeout=10, retry=None)

    def ask(self, *command: str) -> Any:
        with self.client() as client:
            return client.execute_command(*command)

    def status(self) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(self.ask("REPLICAD.STATUS"))
        return document

    def digest(self) -> tuple[int, bytes]:
        """Takes as long as reading all data."""
        with redis.Redis(host=self.host, port=self.port, socket_timeout=600, retry=None) as client:
            sequence, digest = client.execute_command("REPLICAD.DIGEST")
        return int(sequence), digest

    def kill(self) -> None:
        """kill -9."""
        assert self.process is not None
        self._signal(signal.SIGKILL)
        self.process.wait()
        self.process = None

    def stop(self) -> None:
        """SIGSTOP: it stands still."""
        assert self.process is not None
        self._signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """SIGCONT."""
        assert self.process is not None
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        assert self.process is not None
        with contextlib.suppress(ProcessLookupError):  # it ended by itself
            os.killpg(self.process.pid, number)

    def terminate(self) -> int:
        """SIGTERM; the exit code."""
        assert self.process is not None
        self._signal(signal.SIGTERM)
        code = self.process.wait(STOP_SECONDS)
        self.process = None
        return code

    def wait(self) -> int:
        """The exit code of a process that ends by itself."""
        assert self.process is not None
        code = self.process.wait(STOP_SECONDS)
        self.process = None
        return code

    def end(self) -> None:
        if self.process is not None:
            self.kill()

    def tail(self) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-15:])

    def events(self, name: str) -> list[dict[str, Any]]:
        """The events of that name in the log of all runs."""
        found = []
        for line in self.log.read_text(errors="replace").splitlines():
            with contextlib.suppress(ValueError):
                event = json.loads(line)
                if event.get("event") == name:
                    found.append(event)
        return found

    def logged(self, name: str, seconds: float = 20.0) -> list[dict[str, Any]]:
        """The same, once there is one: a node may answer for what it did before it has written so."""
        eventually(lambda: self.events(name) != [], seconds)
        return self.events(name)


class Cluster:
    """A primary and its replicas under one directory."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.daemons: list[Daemon] = []
        self.replication_port = 0

    def primary(self, name: str = "primary", tables: Tables | None = None) -> Daemon:
        port, self.replication_port = free_ports(2)
        return self._add(
            Daemon(
                self.directory,
                "primary",
                name,
                tables or {},
                listen=f"{HOST}:{port}",
                replication=f"{HOST}:{self.replication_port}",
            )
        )

    def replica(self, name: str = "replica", tables: Tables | None = None) -> Daemon:
        """A replica of the primary that was made last."""
        (port,) = free_ports(1)
        return self._add(
            Daemon(
                self.directory,
                "replica",
                name,
                tables or {},
                listen=f"{HOST}:{port}",
                primary=f"{HOST}:{self.replication_port}",
            )
        )

    def _add(self, daemon: Daemon) -> Daemon:
        self.daemons.append(daemon)
        return daemon

    def end(self) -> None:
        for daemon in self.daemons:
            daemon.end()


def sequence_of(daemon: Daemon) -> int:
    """The newest sequence number that the node's readers see."""
    return int(daemon.status()["applied_sequence"])


def follows(replica: Daemon, primary: Daemon, seconds: float = 20.0) -> None:
    """Waits until the replica shows what the primary shows, and compares their digests.

    Of one sequence number: verification writes marks by itself, so between the two digests may be another.
    """
    target = sequence_of(primary)

    def is_there() -> bool:
        assert replica.process is not None
        assert replica.process.poll() is None, f"ended with {replica.process.returncode}: {replica.tail()}"
        try:
            return sequence_of(replica) >= target
        except (redis.ConnectionError, KeyError):
            return False  # starting, without data yet, or in the moment of a swap

    def is_equal() -> bool:
        there, here = replica.digest(), primary.digest()
        assert there[0] != here[0] or there == here
        return there == here

    eventually(is_there, seconds)
    eventually(is_equal, seconds)

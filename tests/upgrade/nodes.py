"""Two nodes whose build changes while they run, and a writer that finds the primary among them."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import threading
from pathlib import Path
from typing import Any

import redis

from replicad.cli.demonstration.ports import HOST, free_ports
from tests.support.waiting import eventually
from tests.upgrade.builds import Build

STOP_SECONDS = 30.0


class Node:
    """A directory, its ports, and the process that runs on it, of whichever build."""

    def __init__(self, directory: Path, name: str, role: str, settings: str = "") -> None:
        """`settings` are lines of its configuration file."""
        self.name, self.role = name, role
        self.data = directory / name
        self.log = directory / f"{name}.log"
        self.config = directory / f"{name}.toml"
        self.config.write_text(settings)
        self.port, self.replication = free_ports(2)
        self.primary: Node | None = None
        self.build: Build | None = None
        self.process: subprocess.Popen[bytes] | None = None

    def spawn(self, build: Build) -> None:
        assert self.process is None
        self.build = build
        command = [*build.program, self.role, "--data", str(self.data), "--listen", f"{HOST}:{self.port}"]
        command += ["--config", str(self.config)]
        command += ["--replication", f"{HOST}:{self.replication}"]
        if self.role == "replica":
            assert self.primary is not None
            command += ["--primary", f"{HOST}:{self.primary.replication}"]
        with self.log.open("ab") as log:
            # Another build's packages must not be found in the directory that this process is in.
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self.data.parent if build.name != "new" else None,
                start_new_session=True,
            )

    def start(self, build: Build) -> None:
        """Returns when it answers from data."""
        self.spawn(build)
        eventually(self._serves, 60)

    def _serves(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, f"{self.name} ended: {self.tail()}"
        try:
            with self.client() as client:
                return bool(client.ping())
        except (redis.ConnectionError, redis.TimeoutError, redis.exceptions.BusyLoadingError):
            return False

    def stop(self) -> None:
        """SIGTERM; it must end with 0."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(STOP_SECONDS)
        self.process = None
        assert code == 0, f"{self.name} ended with {code}: {self.tail()}"

    def refusal(self, build: Build) -> str | None:
        """What a start says when the build refuses the directory; None: it serves."""
        self.spawn(build)
        assert self.process is not None

        def decided() -> bool:
            assert self.process is not None
            return self.process.poll() is not None or self._serves()

        eventually(decided, 60)
        if self.process.poll() is None:
            return None
        self.process = None
        return self.tail(5)

    def end(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.process = None

    def client(self) -> redis.Redis:
        return redis.Redis(host=HOST, port=self.port, socket_timeout=20, retry=None)

    def status(self) -> dict[str, Any]:
        with self.client() as client:
            document: dict[str, Any] = json.loads(client.execute_command("REPLICAD.STATUS"))
        return document

    def is_role(self, role: str) -> bool:
        """Of a primary that takes writes, or a replica that streams."""
        with contextlib.suppress(redis.ConnectionError, redis.TimeoutError, redis.ResponseError):
            with self.client() as client:
                info = client.info("replication")
            if role == "primary":
                return bool(info["role"] == "master")
            return bool(info["role"] == "slave" and info["master_link_status"] == "up")
        return False

    def tail(self, lines: int = 12) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])


class Writer(threading.Thread):
    """Writes key after key to whichever node takes it, and remembers what was acknowledged."""

    def __init__(self, nodes: list[Node]) -> None:
        super().__init__(daemon=True)
        self._nodes = nodes
        self._halt = threading.Event()
        self.acknowledged: dict[bytes, bytes] = {}

    def run(self) -> None:
        number = 0
        clients = [node.client() for node in self._nodes]
        while not self._halt.is_set():
            key, value = b"key:%08d" % number, b"value of %d" % number * 8
            for client in clients:
                try:
                    client.set(key, value)
                except (redis.RedisError, OSError):
                    client.close()
                    continue
                self.acknowledged[key] = value
                number += 1
                break
            else:
                self._halt.wait(0.02)
        for client in clients:
            client.close()

    def grows(self, by: int = 200) -> None:
        """Returns when that many more writes were acknowledged."""
        goal = len(self.acknowledged) + by
        eventually(lambda: len(self.acknowledged) >= goal, 60)

    def stop(self) -> None:
        self._halt.set()
        self.join(30)

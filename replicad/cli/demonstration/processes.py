"""Daemons as real processes: started, killed, started again, and never left behind."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from replicad.cli.demonstration.ports import HOST
from replicad.cli.nodes.client import Client
from replicad.cli.nodes.node import LiveNode
from replicad.errors import DemoError, PeerTimeoutError, ReplyError, UnreachableError

START_SECONDS_MAX = 30.0
STOP_SECONDS_MAX = 20.0
POLL_SECONDS = 0.02
LOG_LINES = 15


PROGRAM = (sys.executable, "-m", "replicad")


def environment() -> dict[str, str]:
    """For PROGRAM: what this process finds its modules by, however it was installed."""
    return os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}


class Daemon:
    """One node of the demonstration: its command line, its directory and its current process."""

    def __init__(self, name: str, role: str, directory: Path, arguments: list[str], port: int) -> None:
        self.name = name
        self.role = role
        self.data = directory / name
        self.port = port
        self.log = directory / f"{name}.log"
        self.command = [
            *(*PROGRAM, role),
            *("--data", str(self.data), "--listen", f"{HOST}:{port}"),
            *arguments,
        ]
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Starts the process and returns when its client port answers, if only that it has no data yet."""
        assert self._process is None
        with open(self.log, "ab") as log:
            # Its own group: Ctrl-C in the terminal reaches the demonstration alone, which then ends it.
            self._process = subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env=environment(),
            )
        deadline = time.monotonic() + START_SECONDS_MAX
        while not self._answers():
            self.check_alive()
            if time.monotonic() > deadline:
                raise DemoError(f"{self.name} did not answer within {START_SECONDS_MAX:g} s")
            time.sleep(POLL_SECONDS)

    def kill(self) -> None:
        """kill -9, and waits until the process is gone."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()
        self._process = None

    def stop(self) -> None:
        """SIGTERM; raises DemoError unless the daemon then ends by itself with exit code 0."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        try:
            code = self._process.wait(STOP_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            raise DemoError(f"{self.name} did not end within {STOP_SECONDS_MAX:g} s of SIGTERM") from None
        self._process = None
        if code != 0:
            raise DemoError(f"{self.name} ended with exit code {code} after SIGTERM")

    def abandon(self) -> None:
        """Ends whatever process there is, however it is doing."""
        if self._process is not None and self._process.poll() is None:
            self.kill()
        self._process = None

    def node(self) -> LiveNode:
        """A new connection to the node."""
        return LiveNode(HOST, self.port)

    def log_tail(self) -> list[str]:
        """The last lines of what the daemon logged."""
        if not self.log.exists():
            return []
        return self.log.read_text(errors="replace").splitlines()[-LOG_LINES:]

    def wait_for_sequence(self, sequence: int, seconds_max: float) -> None:
        """Returns when the node shows `sequence`; raises PeerTimeoutError."""
        deadline = time.monotonic() + seconds_max
        while (reached := self.sequence()) is None or reached < sequence:
            if time.monotonic() > deadline:
                raise PeerTimeoutError(f"{self.name} stands at {reached} and did not reach {sequence}")
            time.sleep(POLL_SECONDS)

    def sequence(self) -> int | None:
        """Where the node stands; None while it has no data, or exchanges it."""
        self.check_alive()
        try:
            with contextlib.closing(self.node()) as node:
                return node.sequence()
        except UnreachableError:
            return None

    def status(self) -> dict[str, Any]:
        """The node's status document; empty while it exchanges its data."""
        self.check_alive()
        try:
            with contextlib.closing(self.node()) as node:
                return node.status()
        except UnreachableError:
            return {}

    def check_alive(self) -> None:
        """Raises DemoError when the process ended by itself."""
        assert self._process is not None
        if (code := self._process.poll()) is not None:
            raise DemoError(f"{self.name} ended with exit code {code}")

    def _answers(self) -> bool:
        try:
            with Client(HOST, self.port, timeout_seconds=1.0) as client:
                return bool(client.call("PING") == b"PONG")
        except UnreachableError:
            return False
        except ReplyError as error:
            if error.code != "LOADING":
                raise
            return True

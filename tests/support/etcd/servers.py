"""Real etcd servers on the loopback, of Debian: started, killed, stopped, and never left behind."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import ssl
import subprocess
import urllib.request
from collections.abc import Sequence
from pathlib import Path

import pytest

from replicad.cli.demonstration.ports import HOST, free_ports
from tests.support.waiting import eventually

PROGRAM = shutil.which("etcd")
READY = "ready to serve client requests"

needs_etcd = pytest.mark.skipif(
    PROGRAM is None, reason="*** etcd is not installed: apt-get install etcd-server ***"
)


class EtcdServer:
    """One member: its port, its directory, its current process."""

    def __init__(
        self,
        directory: Path,
        name: str,
        port: int,
        members: dict[str, int],
        tls: Sequence[str],
        host: str = HOST,
    ) -> None:
        """`members`: the ports for peers of all, itself among them. `tls` are arguments for the client port,
        which has TLS then. `host` is where clients find it."""
        self.port = port
        self.endpoint = f"{'https' if tls else 'http'}://{host}:{self.port}"
        self.data = directory / name
        self.log = directory / f"{name}.log"
        self.context: ssl.SSLContext | None = None
        """With which tests ask it, where it has TLS."""
        self.process: subprocess.Popen[bytes] | None = None
        self._log_begins = 0
        peer = f"http://{HOST}:{members[name]}"
        # A heartbeat so short lets leases last for a second, which is the least that etcd grants.
        beat, election = ("100", "1000") if len(members) > 1 else ("20", "200")
        self._arguments = [
            *("--name", name, "--data-dir", str(self.data)),
            *("--listen-client-urls", self.endpoint, "--advertise-client-urls", self.endpoint),
            *("--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer),
            *(
                "--initial-cluster",
                ",".join(f"{each}=http://{HOST}:{number}" for each, number in members.items()),
            ),
            *("--heartbeat-interval", beat, "--election-timeout", election),
            *("--bcrypt-cost", "4", "--unsafe-no-fsync"),
            *tls,
        ]

    def spawn(self) -> None:
        """Starts the process, with the data that it had, without waiting for anything."""
        assert self.process is None
        assert PROGRAM is not None
        self._log_begins = self.log.stat().st_size if self.log.exists() else 0
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                [PROGRAM, *self._arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={name: value for name, value in os.environ.items() if not name.startswith("ETCD_")},
            )

    def start(self) -> EtcdServer:
        self.spawn()
        self.wait_until_ready()
        return self

    def wait_until_ready(self) -> None:
        """It serves: with a leader, so that of a new cluster most members have to be started."""
        eventually(self._is_ready)

    def _is_ready(self) -> bool:
        assert self.process is not None
        text = self.log.read_bytes()[self._log_begins :].decode(errors="replace")
        assert self.process.poll() is None, f"ended with {self.process.returncode}: {text[-2000:]}"
        return READY in text

    def kill(self) -> None:
        """kill -9."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()
        self.process = None

    def restart(self) -> None:
        """Killed, and started again with the same data."""
        self.kill()
        self.start()

    def leads(self) -> bool:
        """Whether it leads the others at the moment."""
        asked = urllib.request.Request(f"{self.endpoint}/v3/maintenance/status", b"{}", method="POST")
        with urllib.request.urlopen(asked, timeout=10, context=self.context) as answer:
            status = json.load(answer)
        return bool(status["leader"] == status["header"]["member_id"])

    def stop(self) -> None:
        """SIGSTOP: it stands still."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """SIGCONT."""
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)

    def end(self) -> None:
        if self.process is not None:
            self.kill()


class EtcdCluster:
    """Members that know each other."""

    def __init__(self, directory: Path, count: int = 3, *, tls: Sequence[str] = (), host: str = HOST) -> None:
        names, ports = [f"e{number}" for number in range(1, count + 1)], free_ports(2 * count)
        peers = dict(zip(names, ports[count:], strict=True))
        self.members = [
            EtcdServer(directory, name, port, peers, tls, host)
            for name, port in zip(names, ports, strict=False)
        ]

    @property
    def endpoints(self) -> tuple[str, ...]:
        return tuple(member.endpoint for member in self.members)

    def start(self) -> EtcdCluster:
        for member in self.members:
            member.spawn()
        for member in self.members:
            member.wait_until_ready()
        return self

    def end(self) -> None:
        for member in self.members:
            with contextlib.suppress(ProcessLookupError):
                member.end()


def one_server(directory: Path, *, tls: Sequence[str] = ()) -> EtcdServer:
    """A cluster of one; not started."""
    return EtcdCluster(directory, 1, tls=tls).members[0]

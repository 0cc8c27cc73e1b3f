"""Processes that are measured: ours and Redis's, started alike, asked by the same protocol, always ended."""

from __future__ import annotations

import signal
import socket
import ssl
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from replicad.cli.demonstration.ports import HOST, free_ports
from replicad.cli.demonstration.processes import PROGRAM, environment

START_SECONDS_MAX = 120.0


class Node:
    """One server. Its processor time and its peak memory are the kernel's figures."""

    def __init__(self, name: str, command: Sequence[str], port: int, log: Path) -> None:
        self.name = name
        self.command = list(command)
        self.port = port
        self.log = log
        self.ca_file: Path | None = None
        """Of a port that speaks TLS: the CA that vouches for it."""
        self.process: subprocess.Popen[bytes] | None = None

    def spawn(self) -> None:
        """Starts the process, and does not wait."""
        assert self.process is None
        with open(self.log, "ab") as log:
            # Its own session: Ctrl-C reaches the benchmark alone, which then ends it.
            self.process = subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env=environment(),
            )

    def start(self) -> None:
        """Returns when it answers +PONG."""
        self.spawn()
        self.wait_for(b"PING\r\n", b"+PONG")

    def wait_for(self, request: bytes, answer: bytes, poll_seconds: float = 0.002) -> None:
        """Asks again and again until the answer holds these bytes."""
        deadline = time.monotonic() + START_SECONDS_MAX
        while answer not in self._ask(request):
            assert self.process is not None
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{self.name} does not answer: {self.log.read_text()[-2000:]}")
            time.sleep(poll_seconds)

    def _ask(self, request: bytes) -> bytes:
        try:
            with socket.create_connection((HOST, self.port), timeout=30) as plain:
                one = plain
                if self.ca_file is not None:
                    one = ssl.create_default_context(cafile=self.ca_file).wrap_socket(
                        plain, server_hostname=HOST
                    )
                one.sendall(request)
                return one.recv(1 << 16)
        except OSError:
            return b""

    def kill(self) -> None:
        """kill -9, if it runs."""
        process, self.process = self.process, None
        if process is not None:
            process.kill()
            process.wait()

    def end(self) -> None:
        """SIGTERM, and SIGKILL for one that does not end by itself."""
        process, self.process = self.process, None
        if process is not None:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    @property
    def processor_seconds(self) -> float:
        """User and system time since it was started."""
        assert self.process is not None
        # Linux names the clock of another process so (CPUCLOCK_SCHED); /proc counts hundredths of a second.
        return time.clock_gettime(~self.process.pid << 3 | 2)

    @property
    def peak_bytes(self) -> int:
        """The most memory that it had resident."""
        assert self.process is not None
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
        return 0


class Pair:
    """A primary and its replicas, of one kind."""

    def __init__(self, primary: Node, replicas: list[Node], caught_up: tuple[bytes, bytes]) -> None:
        """`caught_up`: the request to a replica and what its answer holds when it follows."""
        self.primary = primary
        self.replicas = replicas
        self._caught_up = caught_up

    def __enter__(self) -> Pair:
        try:
            self.primary.start()
            for replica in self.replicas:
                replica.spawn()
            for replica in self.replicas:
                replica.wait_for(*self._caught_up)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for node in (*self.replicas, self.primary):
            node.end()


def replicad_primary(directory: Path, name: str, *arguments: str) -> tuple[Node, int]:
    """A primary that is not started, and its replication port."""
    client, feed = free_ports(2)
    command = [*PROGRAM, "primary", "--data", str(directory / name), "--listen", f"{HOST}:{client}"]
    command += ["--replication", f"{HOST}:{feed}", *arguments]
    return Node("replicad", command, client, directory / f"{name}.log"), feed


def replicad_replica(directory: Path, name: str, feed: int, *arguments: str) -> Node:
    (client,) = free_ports(1)
    command = [*PROGRAM, "replica", "--data", str(directory / name), "--listen", f"{HOST}:{client}"]
    command += ["--primary", f"{HOST}:{feed}", *arguments]
    return Node("replicad", command, client, directory / f"{name}.log")


def replicad_pair(directory: Path, replicas: int, durability: str) -> Pair:
    flags = ("--durability", durability)
    primary, feed = replicad_primary(directory, "ours", *flags)
    others = [replicad_replica(directory, f"ours-{n}", feed, *flags) for n in range(replicas)]
    return Pair(primary, others, (b"PING\r\n", b"+PONG"))


@dataclass(frozen=True)
class Certificates:
    """A CA, and one certificate for all servers of this machine."""

    ca: Path
    cert: Path
    key: Path

    @classmethod
    def make(cls, directory: Path) -> Certificates:
        from replicad.cli.certificates.authority import make_authority, make_node

        make_authority(directory, "benchmark", 2)
        make_node(directory, "server", [HOST], 2)
        return cls(directory / "ca.crt", directory / "server.crt", directory / "server.key")

    def flags(self, directory: Path) -> list[str]:
        """Of a node of ours, whose port for clients speaks TLS."""
        file = directory / "tls.toml"
        file.write_text(
            f'[tls]\ncert_file = "{self.cert}"\nkey_file = "{self.key}"\nca_file = "{self.ca}"\n'
            "[tls.replication]\nenabled = false\n"
        )
        return ["--config", str(file)]


def redis_tls(directory: Path, certificates: Certificates) -> Pair:
    """Redis alone, over TLS."""
    (port,) = free_ports(1)
    (directory / "redis-tls").mkdir()
    command = ["redis-server", "--port", "0", "--tls-port", str(port), "--bind", HOST]
    command += ["--tls-cert-file", str(certificates.cert), "--tls-key-file", str(certificates.key)]
    command += ["--tls-ca-cert-file", str(certificates.ca), "--tls-auth-clients", "no"]
    command += ["--dir", str(directory / "redis-tls"), "--save", "", "--appendonly", "yes"]
    node = Node("redis", command, port, directory / "redis-tls.log")
    node.ca_file = certificates.ca
    return Pair(node, [], (b"PING\r\n", b"+PONG"))


def redis_pair(directory: Path, replicas: int, fsync: str) -> Pair:
    """Redis with its append-only file; `fsync` is "everysec" or "always"."""

    def node(name: str, *arguments: str) -> Node:
        (port,) = free_ports(1)
        (directory / name).mkdir()
        command = ["redis-server", "--port", str(port), "--bind", HOST, "--dir", str(directory / name)]
        command += ["--save", "", "--appendonly", "yes", "--appendfsync", fsync, *arguments]
        return Node("redis", command, port, directory / f"{name}.log")

    primary = node("redis")
    others = [node(f"redis-{n}", "--replicaof", HOST, str(primary.port)) for n in range(replicas)]
    return Pair(primary, others, (b"INFO replication\r\n", b"master_link_status:up"))

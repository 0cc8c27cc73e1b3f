"""Three nodes that speak TLS and have users, as an operator sets them up: files, processes, verbs."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from replicad.cli.demonstration.ports import HOST, free_ports
from replicad.server.access.secrets import new_token, token_sha256
from tests.support.certificates import Authority
from tests.support.waiting import eventually

PROGRAM = [sys.executable, "-m", "replicad"]
STOP_SECONDS = 60.0


@dataclass
class SoakNode:
    name: str
    port: int
    replication: int
    config: Path
    log: Path
    process: subprocess.Popen[bytes] | None = None
    started: int = 0

    @property
    def address(self) -> str:
        return f"{HOST}:{self.port}"

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def memory_bytes(self) -> int:
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
        return 0

    def descriptors(self) -> int:
        return len(os.listdir(f"/proc/{self.pid}/fd"))


@dataclass
class SoakCluster:
    directory: Path
    authority: Authority
    token: str = field(default_factory=new_token)
    nodes: dict[str, SoakNode] = field(default_factory=dict)

    @classmethod
    def make(cls, directory: Path, names: tuple[str, ...]) -> SoakCluster:
        cluster = cls(directory, Authority.make(directory / "ca"))
        cluster.authority.node("operator")
        ports = iter(free_ports(2 * len(names)))
        for name in names:
            cluster.authority.node(name)
            port, replication = next(ports), next(ports)
            node = SoakNode(name, port, replication, directory / f"{name}.toml", directory / f"{name}.log")
            cluster.nodes[name] = node
        first = cluster.nodes[names[0]]
        for node in cluster.nodes.values():
            primary = f'primary = "{HOST}:{first.replication}"\n' if node is not first else ""
            node.config.write_text(cluster._config(node, primary))
        config = directory / "config" / "replicad"
        config.mkdir(parents=True)
        ca = cluster.authority.directory
        (config / "client.toml").write_text(
            f'ca_file = "{ca}/ca.crt"\ncert_file = "{ca}/operator.crt"\nkey_file = "{ca}/operator.key"\n'
        )
        return cluster

    def _config(self, node: SoakNode, primary: str) -> str:
        ca = self.authority.directory
        return f"""\
data = "{self.directory / node.name}"
name = "{node.name}"
listen = "{node.address}"
replication = "{HOST}:{node.replication}"
{primary}
[tls]
cert_file = "{ca}/{node.name}.crt"
key_file = "{ca}/{node.name}.key"
ca_file = "{ca}/ca.crt"
certificates = "optional"
certificate_users = true
allow = {json.dumps(sorted(self.nodes))}
reload_seconds = 1.0
[users.operator]
roles = ["admin"]
[users.app]
roles = ["write"]
token_sha256 = "{token_sha256(self.token)}"
[store]
memtable_bytes = 4_194_304
block_cache_bytes = 16_777_216
[backup]
target = "{self.directory / "backups"}"
"""

    def start(self, node: SoakNode) -> None:
        role = "primary" if node is next(iter(self.nodes.values())) else "replica"
        with node.log.open("ab") as log:
            node.process = subprocess.Popen(
                [*PROGRAM, role, "--config", str(node.config)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        node.started += 1
        eventually(lambda: self.status(node).get("standing") in ("primary", "following"), seconds=60)

    def stop(self, node: SoakNode) -> None:
        process, node.process = node.process, None
        if process is None:
            return
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def run(self, *arguments: str) -> str:
        """A verb of the command line; RuntimeError with what it says when it fails."""
        done = subprocess.run(
            [*PROGRAM, *arguments],
            capture_output=True,
            text=True,
            timeout=120,
            env={**os.environ, "XDG_CONFIG_HOME": str(self.directory / "config")},
        )
        if done.returncode:
            raise RuntimeError(f"replicad {' '.join(arguments)}: {done.returncode}: {done.stderr}")
        return done.stdout

    def status(self, node: SoakNode) -> dict[str, Any]:
        """{} where it does not answer."""
        try:
            (document,) = json.loads(self.run("status", node.address, "--json"))
        except (RuntimeError, ValueError):
            return {}
        return dict(document)

    def primary(self) -> SoakNode:
        return next(node for node in self.nodes.values() if self.status(node).get("standing") == "primary")

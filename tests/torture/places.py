"""Where nodes live: a network namespace each, whose link can be cut, and for one a disk that can be filled.

        namespace of the test, 127.0.1.254
        ┌───────────── bridge ─────────────┐
        │ link-1          │ link-2         │ link-3        down: its packets are lost in silence
    127.0.1.1         127.0.1.2        127.0.1.3

Nodes bind to the loopback only, so these are loopback addresses, routed to the bridge instead of to `lo`. All
of it is in namespaces of the process (`isolate`), and so gone with it, however it ends. Where a process may
not have any, nodes live on 127.0.0.1, nothing is cut or filled, and `Places.lacks` says so.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from replicad.cli.demonstration.processes import free_ports

ISOLATED = "--isolated"
_UNSHARE = ("unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc")
DISK_BYTES = 64 << 20
LEFT_BYTES = 300_000
"""What is free on a disk that was filled."""
_ROUTES = """
ip link set lo up
echo 1 > /proc/sys/net/ipv4/conf/all/route_localnet
ip route del local 127.0.0.0/8 dev lo table local
ip address del 127.0.0.1/8 dev lo
ip address add 127.0.0.1/32 dev lo
"""


def isolate(arguments: Sequence[str]) -> None:
    """Begins this program again in namespaces of its own, where that is permitted; else returns."""
    if subprocess.run([*_UNSHARE, "true"], capture_output=True, check=False).returncode == 0:
        os.execvp("unshare", [*_UNSHARE, sys.executable, "-m", "tests.torture", *arguments, ISOLATED])


@dataclass(slots=True)
class Place:
    number: int
    host: str
    ports: tuple[int, int]
    """For clients, and for replication."""
    directory: Path
    wrapper: list[str] = field(default_factory=list)
    """What a command begins with to run there."""
    can_cut: bool = False
    can_fill: bool = False

    def cut(self) -> None:
        _run(f"ip link set link-{self.number} down")

    def mend(self) -> None:
        _run(f"ip link set link-{self.number} up")

    def fill(self) -> None:
        free = shutil.disk_usage(self.directory).free
        with open(self.directory / "filler", "wb") as file:
            os.posix_fallocate(file.fileno(), 0, max(1, free - LEFT_BYTES))

    def make_room(self) -> None:
        (self.directory / "filler").unlink(missing_ok=True)


class Places:
    """`directory` is empty; `disk_of` is the place that gets the small disk."""

    def __init__(self, directory: Path, count: int, disk_of: int, *, isolated: bool) -> None:
        self.lacks: list[str] = []
        self._holders: list[subprocess.Popen[bytes]] = []
        self._mounted: Path | None = None
        self.places = [self._place(directory, number) for number in range(1, count + 1)]
        if not isolated:
            self.lacks.append("no link is cut and no disk filled: this process may not have namespaces")
            return
        try:
            self._connect()
        except subprocess.CalledProcessError as error:
            self._end_holders()
            self.lacks.append(f"no link is cut: {_reason(error)}")
        try:
            self._give_disk(self.places[disk_of])
        except subprocess.CalledProcessError as error:
            self.lacks.append(f"no disk is filled: {_reason(error)}")

    def close(self) -> None:
        """Every process that lives here has ended."""
        self._end_holders()
        if self._mounted is not None:
            _run(f"umount -l {self._mounted}")

    def _place(self, directory: Path, number: int) -> Place:
        clients, replication = free_ports(2)
        home = directory / str(number)
        home.mkdir(parents=True)
        return Place(number, "127.0.0.1", (clients, replication), home)

    def _connect(self) -> None:
        if not _has_hub():
            _run(
                "ip link add hub type bridge",
                _ROUTES,
                "ip address add 127.0.1.254/24 dev hub",
                "ip link set hub up",
            )
        for place in self.places:
            inner = ["unshare", "--net", "sh", "-c", "echo; exec sleep infinity"]
            holder = subprocess.Popen(inner, stdout=subprocess.PIPE)
            self._holders.append(holder)
            assert holder.stdout is not None
            holder.stdout.readline()  # It is in its namespace.
            number, inside = place.number, ["nsenter", f"--net=/proc/{holder.pid}/ns/net"]
            _run(
                f"ip link add link-{number} type veth peer name eth0 netns {holder.pid}",
                f"ip link set link-{number} master hub up",
            )
            address = f"ip address add 127.0.1.{number}/24 dev eth0"
            _run(_ROUTES, address, "ip link set eth0 up", inside=inside)
        for place, holder in zip(self.places, self._holders, strict=True):
            place.host, place.ports = f"127.0.1.{place.number}", (6380, 6381)
            place.wrapper, place.can_cut = ["nsenter", f"--net=/proc/{holder.pid}/ns/net"], True

    def _give_disk(self, place: Place) -> None:
        image = place.directory.with_suffix(".disk")
        with open(image, "wb") as file:
            file.truncate(DISK_BYTES)
        _run(f"mkfs.ext4 -q -m 0 {image}", f"mount -o loop {image} {place.directory}")
        self._mounted, place.can_fill = place.directory, True

    def _end_holders(self) -> None:
        for holder in self._holders:
            holder.kill()
            holder.communicate()
        self._holders.clear()


def _has_hub() -> bool:
    return subprocess.run(["ip", "link", "show", "hub"], capture_output=True, check=False).returncode == 0


def _run(*lines: str, inside: Sequence[str] = ()) -> None:
    script = "\n".join(("set -e", *lines))
    subprocess.run([*inside, "sh", "-c", script], capture_output=True, text=True, check=True)


def _reason(error: subprocess.CalledProcessError) -> str:
    return str(error.stderr).strip().splitlines()[-1] if error.stderr else str(error)

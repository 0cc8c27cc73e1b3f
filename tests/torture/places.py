"""Where nodes live: a network namespace each, whose link can be cut, and for one a disk that can be filled.

        namespace of the test, 127.0.1.254
        ┌───────────── bridge ─────────────┐
        │ link-1          │ link-2         │ link-3        down: its packets are lost in silence
    127.0.1.1         127.0.1.2        127.0.1.3

All of it is in namespaces of the process (`support.nodes.namespaces`). Where a process may not have any,
nodes live on 127.0.0.1, nothing is cut or filled, and `Places.lacks` says so.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from replicad.cli.demonstration.ports import free_ports
from tests.support.nodes.namespaces import ROUTES, begin_namespace, reason_of, shell

DISK_BYTES = 64 << 20
LEFT_BYTES = 300_000
"""What is free on a disk that was filled."""


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
        shell(f"ip link set link-{self.number} down")

    def mend(self) -> None:
        shell(f"ip link set link-{self.number} up")

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
            self.lacks.append(f"no link is cut: {reason_of(error)}")
        try:
            self._give_disk(self.places[disk_of])
        except subprocess.CalledProcessError as error:
            self.lacks.append(f"no disk is filled: {reason_of(error)}")

    def close(self) -> None:
        """Every process that lives here has ended."""
        self._end_holders()
        if self._mounted is not None:
            shell(f"umount -l {self._mounted}")

    def _place(self, directory: Path, number: int) -> Place:
        clients, replication = free_ports(2)
        home = directory / str(number)
        home.mkdir(parents=True)
        return Place(number, "127.0.0.1", (clients, replication), home)

    def _connect(self) -> None:
        if not _has_hub():
            shell(
                "ip link add hub type bridge",
                ROUTES,
                "ip address add 127.0.1.254/24 dev hub",
                "ip link set hub up",
            )
        for place in self.places:
            holder, inside = begin_namespace()
            self._holders.append(holder)
            number = place.number
            shell(
                f"ip link add link-{number} type veth peer name eth0 netns {holder.pid}",
                f"ip link set link-{number} master hub up",
            )
            address = f"ip address add 127.0.1.{number}/24 dev eth0"
            shell(ROUTES, address, "ip link set eth0 up", inside=inside)
        for place, holder in zip(self.places, self._holders, strict=True):
            place.host, place.ports = f"127.0.1.{place.number}", (6380, 6381)
            place.wrapper, place.can_cut = ["nsenter", f"--net=/proc/{holder.pid}/ns/net"], True

    def _give_disk(self, place: Place) -> None:
        image = place.directory.with_suffix(".disk")
        with open(image, "wb") as file:
            file.truncate(DISK_BYTES)
        shell(f"mkfs.ext4 -q -m 0 {image}", f"mount -o loop {image} {place.directory}")
        self._mounted, place.can_fill = place.directory, True

    def _end_holders(self) -> None:
        for holder in self._holders:
            holder.kill()
            holder.communicate()
        self._holders.clear()


def _has_hub() -> bool:
    return subprocess.run(["ip", "link", "show", "hub"], capture_output=True, check=False).returncode == 0

"""What this machine can do at most, measured in the same run as the rest: loopback, disk, fdatasync."""

from __future__ import annotations

import os
import socket
import statistics
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from bench.plots.extent import Extent
from replicad.cli.demonstration.ports import HOST

PIECE_BYTES = 1 << 20
SYNCED_BYTES = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineLimits:
    loopback_bytes_per_second: float
    disk_bytes_per_second: float
    fdatasync_seconds: float


def measure_limits(directory: Path, extent: Extent) -> MachineLimits:
    """In the directory that the nodes use too: another file system would have other limits."""
    return MachineLimits(
        loopback_bytes_per_second=_loopback(extent.limit_bytes),
        disk_bytes_per_second=_disk(directory, extent.limit_bytes),
        fdatasync_seconds=_fdatasync(directory, extent.limit_syncs),
    )


def _loopback(size_bytes: int) -> float:
    """One connection, from a thread of this process to another."""
    with socket.create_server((HOST, 0)) as server:
        sender = socket.create_connection(server.getsockname())
        receiver, _ = server.accept()

    def send() -> None:
        piece = bytes(PIECE_BYTES)
        with sender:
            for _ in range(size_bytes // PIECE_BYTES):
                sender.sendall(piece)

    thread = threading.Thread(target=send)
    buffer = bytearray(PIECE_BYTES)
    received = 0
    begun = time.perf_counter()
    thread.start()
    with receiver:
        while got := receiver.recv_into(buffer):
            received += got
    thread.join()
    return received / (time.perf_counter() - begun)


def _disk(directory: Path, size_bytes: int) -> float:
    """One file, synced at its end."""
    piece = os.urandom(PIECE_BYTES)
    with tempfile.TemporaryFile(dir=directory) as file:
        begun = time.perf_counter()
        for _ in range(size_bytes // PIECE_BYTES):
            os.write(file.fileno(), piece)
        os.fdatasync(file.fileno())
        return size_bytes // PIECE_BYTES * PIECE_BYTES / (time.perf_counter() - begun)


def _fdatasync(directory: Path, count: int) -> float:
    """Median of an append and its sync, as a log does them."""
    piece = os.urandom(SYNCED_BYTES)
    taken = []
    with tempfile.TemporaryFile(dir=directory) as file:
        for _ in range(count):
            begun = time.perf_counter()
            os.write(file.fileno(), piece)
            os.fdatasync(file.fileno())
            taken.append(time.perf_counter() - begun)
    return statistics.median(taken)

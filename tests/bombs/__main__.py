"""`make bombs`: hostile and huge requests, and for how long each keeps another client waiting.

A primary and a replica on the loopback; each bomb of `cases.py` is thrown at the primary while a client
says PING to each node, from a process of its own. Prints for each the longest PING of both, the primary's
processor time, how far its memory went, and whether the replica stayed connected. Ends with 1 when a PING
took more than `MARGIN` times `BOUND_SECONDS`, or the replica's session ended.
"""

from __future__ import annotations

import argparse
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from replicad.options import KIB, MIB
from tests.bombs.cases import BOMBS, Bomb, large_value, million_keys, request
from tests.support.command import run
from tests.support.nodes.daemons import Cluster, Daemon, Tables, follows

BOUND_SECONDS = 0.25
"""For so long at most a client keeps others waiting."""
MARGIN = 8
"""A busy machine takes several times as long, and that is no failure."""
REPLY_SECONDS_MAX = 120.0
UNREAD_SECONDS = 3.0
END = b"this was the last"

TABLES: Tables = {
    "store": {"memtable_bytes": 64 * MIB, "segment_bytes": 64 * MIB, "block_cache_bytes": 64 * MIB},
    "link": {"heartbeat_seconds": 1.0, "idle_seconds": 10.0},
}


class Pings:
    """The longest PING of one node, seen from another process."""

    def __init__(self, port: int) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.bombs.pinger", str(port)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def take_longest(self) -> float:
        """In seconds, since the last look."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return float(self._process.stdout.readline())

    def end(self) -> None:
        self._process.kill()
        self._process.wait()


def main() -> int:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    parser = argparse.ArgumentParser(prog="make bombs", description=__doc__)
    parser.add_argument(
        "--only", metavar="TEXT", nargs="*", default=[""], help="bombs whose names hold one of these"
    )
    only = parser.parse_args().only
    chosen = [bomb for bomb in BOMBS if any(text in bomb.name for text in only)]
    with tempfile.TemporaryDirectory(prefix="bombs-") as directory:
        cluster = Cluster(Path(directory))
        pings: list[Pings] = []
        try:
            primary, replica = cluster.primary(tables=TABLES).start(), cluster.replica(tables=TABLES).start()
            _throw(primary, Bomb(name="data", payload=lambda: million_keys() + large_value()))
            follows(replica, primary, 60.0)
            pings = [Pings(primary.port), Pings(replica.port)]
            return _run(chosen, primary, replica, pings)
        finally:
            for each in pings:
                each.end()
            cluster.end()


def _run(chosen: list[Bomb], primary: Daemon, replica: Daemon, pings: list[Pings]) -> int:
    print("longest PING at primary, at replica | processor, peak memory of the primary | answered after")
    failed = []
    for bomb in (Bomb(name="nothing, for comparison", payload=lambda: request(b"PING")), *chosen):
        _throw(primary, Bomb(name="preparation", payload=bomb.prepare))
        follows(replica, primary, 60.0)
        _settle(pings)
        ended, processor = len(primary.events("replication.session_ended")), _processor_seconds(primary)
        _clear_peak(primary)
        answered = _throw(primary, bomb)
        longest = [each.take_longest() for each in pings]
        follows(replica, primary, 60.0)
        stayed = len(primary.events("replication.session_ended")) == ended
        longest[1] = max(longest[1], pings[1].take_longest())
        is_good = stayed and max(longest) <= MARGIN * BOUND_SECONDS
        print(
            f"{longest[0]:6.3f} s {longest[1]:6.3f} s | {_processor_seconds(primary) - processor:6.2f} s "
            f"{_peak_bytes(primary) // MIB:5} MiB | {answered:6.2f} s  {bomb.name}"
            + ("" if stayed else "  THE REPLICA WAS LOST")
            + ("" if is_good else "  TOO LONG" if stayed else ""),
            flush=True,
        )
        if not is_good:
            failed.append(bomb.name)
    if failed:
        print(f"\n{len(failed)} of {len(chosen)} kept others waiting for too long: {', '.join(failed)}")
        print("one of them again: make bombs BOMBS_FLAGS=\"--only '…'\"")
        return 1
    seconds = MARGIN * BOUND_SECONDS
    print(f"none of {len(chosen)} kept another client waiting for {seconds:g} s, or cut off the replica")
    return 0


def _settle(pings: list[Pings]) -> None:
    """Forgets what the preparation did to others, its flushes included."""
    for each in pings:
        each.take_longest()
    while True:
        time.sleep(0.3)
        if max(each.take_longest() for each in pings) <= BOUND_SECONDS:
            break


def _throw(primary: Daemon, bomb: Bomb) -> float:
    """Returns after how many seconds all of it was answered, or the connection was ended."""
    payload = bomb.payload()
    if b"$last" in payload[:100]:
        last = b"%d" % int(primary.status()["applied_sequence"])
        payload = request(b"REPLICAD.UPDATES", last, b"1")
    began = time.monotonic()
    threads = [
        threading.Thread(target=_converse, args=(primary.port, payload, bomb.read))
        for _ in range(bomb.connections)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return time.monotonic() - began


def _converse(port: int, payload: bytes, read: bool) -> None:
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.settimeout(REPLY_SECONDS_MAX if read else UNREAD_SECONDS)
        sender = threading.Thread(target=_send, args=(connection, payload + request(b"ECHO", END)))
        sender.start()
        tail = b""
        while read and END not in tail:
            try:
                part = connection.recv(1 << 20)
            except ConnectionError:
                break
            if not part:
                break
            tail = (tail + part)[-2 * len(END) :]
        sender.join()
        if not read:
            time.sleep(UNREAD_SECONDS)


def _send(connection: socket.socket, data: bytes) -> None:
    try:
        connection.sendall(data)
    except OSError:
        pass  # It was refused, or nobody takes the replies.


def _processor_seconds(daemon: Daemon) -> float:
    assert daemon.process is not None
    fields = Path(f"/proc/{daemon.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _clear_peak(daemon: Daemon) -> None:
    assert daemon.process is not None
    Path(f"/proc/{daemon.process.pid}/clear_refs").write_text("5")


def _peak_bytes(daemon: Daemon) -> int:
    assert daemon.process is not None
    status = Path(f"/proc/{daemon.process.pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * KIB


if __name__ == "__main__":
    run(main)

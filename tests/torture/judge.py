"""What must hold at the end of a round, when everything works again."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import replicad
from replicad.types import OperationKind
from tests.support.nodes.daemons import Daemon
from tests.torture.applications import PAGE, Reader, Writer, annotation, key_of, list_of, payload
from tests.torture.asking import log_of, status_of
from tests.torture.verbs import address_of, begin


class Violation(AssertionError):
    """A promise was broken."""


def not_equal(nodes: Sequence[Daemon]) -> str | None:
    """Why the nodes are not one primary and its replicas at one position yet, or None."""
    found = {node.name: status_of(node) for node in nodes}
    standings = {name: status and status["standing"] for name, status in found.items()}
    if sorted(map(str, standings.values())) != ["following"] * (len(nodes) - 1) + ["primary"]:
        return f"the nodes stand like this: {standings}"
    positions = {name: status and status.get("durable_position") for name, status in found.items()}
    if len(set(positions.values())) != 1:
        return f"the nodes are at {positions}"
    return None


def check_readers(readers: Sequence[Reader]) -> None:
    for reader in readers:
        if reader.wrong is not None:
            raise Violation(reader.wrong)


def check_alive(nodes: Sequence[Daemon]) -> None:
    """Nobody ended who was not told to."""
    for node in nodes:
        if node.process is not None and (code := node.process.poll()) is not None:
            raise Violation(f"{node.name} ended by itself, with {code}")


def check_writes(primary: Daemon, writers: Sequence[Writer], since: Mapping[str, int] | None = None) -> int:
    """Each acknowledged write is there once, in its place, and whole; how many there are. `since`: from which
    number on, by the name of the writer."""
    total = 0
    with primary.client() as client:
        for writer in writers:
            first = (since or {}).get(writer.name, 0) // PAGE * PAGE
            lists = client.mget(
                [list_of(writer.name, number) for number in range(first, writer.tried + 1, PAGE)]
            )
            numbers = [int(number) for page in lists if page for number in page.split(b",")[:-1]]
            check_order(writer.name, numbers, {each for each in writer.acknowledged if each >= first})
            if max(numbers, default=0) >= writer.tried:
                raise Violation(f"{writer.name}: {max(numbers)} was never written")
            for start in range(0, len(numbers), PAGE):
                some = numbers[start : start + PAGE]
                values = client.mget([key_of(writer.name, number) for number in some])
                for number, value in zip(some, values, strict=True):
                    if value != payload(writer.name, number):
                        raise Violation(f"{key_of(writer.name, number)} holds {value!r:.80}")
            total += len(numbers)
    return total


def check_order(writer: str, numbers: Sequence[int], acknowledged: set[int]) -> None:
    """Each is there once, every acknowledged one among them, and none before what had its answer by then.

    One that was given up may come late: the network keeps what it could not deliver.
    """
    if len(set(numbers)) != len(numbers):
        raise Violation(f"{writer}: came twice: {[n for n, times in Counter(numbers).items() if times > 1]}")
    if lost := sorted(acknowledged.difference(numbers)):
        raise Violation(f"{writer}: acknowledged and lost: {lost[:20]}")
    before = math.inf
    for number in reversed(numbers):
        if before < number:
            raise Violation(f"{writer}: {number} stands before {before}, which was acknowledged earlier")
        if number in acknowledged:
            before = number


def check_logs(nodes: Sequence[Daemon]) -> int:
    """Where nodes have the same log, it is the same, annotations included; how many batches all have."""
    first = 1
    for node in nodes:
        status = status_of(node)
        assert status is not None
        first = max(first, int(status["log"]["first_sequence"]))
    logs = [log_of(node, first) for node in nodes]
    last = min(max(log, default=0) for log in logs)
    for node, log in zip(nodes, logs, strict=True):
        for at in sorted(at for at in log.keys() | logs[0].keys() if at <= last):
            if log.get(at) != logs[0].get(at):
                raise Violation(
                    f"at {at} the log of {node.name} has {log.get(at)!r:.200},"
                    f" that of {nodes[0].data.name} {logs[0].get(at)!r:.200}"
                )
    for at, batch in logs[0].items():
        notes = [value for kind, _, _, value in batch[4] if kind == OperationKind.LOG_DATA]
        keys = [key for _, _, key, _ in batch[4] if key and key.startswith(b"key:")]
        for note, key in zip(notes, keys, strict=False):
            writer, number = key.decode().split(":")[1:]
            if note != annotation(writer, int(number)):
                raise Violation(f"at {at} {key!r} is annotated {note!r}")
    return len(logs[0])


def check_equal(nodes: Sequence[Daemon]) -> None:
    """By digests of everything, and as an operator would compare them."""
    digests = {node.name: node.digest()[1] for node in nodes}
    if len(set(digests.values())) != 1:
        raise Violation(f"digests differ: {digests}")
    verify = begin("verify", *map(address_of, nodes))
    output, _ = verify.communicate()
    if verify.returncode != 0:
        raise Violation(f"`replicad verify` ended with {verify.returncode}: {output}")


def check_backups(target: Path) -> None:
    """What was made while nodes died is whole, or is not there."""
    if target.exists():
        verify = begin("backup", "verify", str(target), "--all", "--checksums")
        output, _ = verify.communicate()
        if verify.returncode != 0:
            raise Violation(f"`replicad backup verify` ended with {verify.returncode}: {output}")


def memory_bytes(node: Daemon) -> int:
    """The most that the process of now ever had resident."""
    assert node.process is not None
    lines = Path(f"/proc/{node.process.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))


def check_ends(nodes: Sequence[Daemon]) -> None:
    """SIGTERM ends each with 0, and each directory opens by itself and holds what was served."""
    served = {node.data: node.digest()[1].decode() for node in nodes}
    for node in nodes:
        if (code := node.terminate()) != 0:
            raise Violation(f"{node.name} ended with {code} when it was told to")
        with replicad.open(node.data, read_only=True) as database:
            found = database.digest()[1]
        if found != served[node.data]:
            raise Violation(f"the directory of {node.name} holds {found}, it served {served[node.data]}")

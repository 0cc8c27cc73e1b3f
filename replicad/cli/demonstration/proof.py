"""What must be true at the end. Each check raises DemoError with what it found instead."""

from __future__ import annotations

import json
import subprocess
from collections import Counter
from collections.abc import Iterable, Iterator

from replicad.cli.demonstration.library import SourceFile
from replicad.cli.demonstration.ports import HOST
from replicad.cli.demonstration.processes import PROGRAM, Daemon, environment
from replicad.cli.demonstration.reporter import Stage
from replicad.cli.demonstration.transactions import COUNTER, annotation, transaction_key
from replicad.cli.nodes.node import LiveNode
from replicad.errors import DemoError, ReplyError


def check_files(node: LiveNode, files: list[SourceFile], stage: Stage) -> None:
    """Every file reads back from the node as it is on disk."""
    replies = node.client.pipeline(("GET", file.key) for file in files)
    for file, value in zip(files, replies, strict=True):
        if isinstance(value, ReplyError):
            raise DemoError(f"reading {file.key!r} from {node.name}: {value}")
        if value is None:
            raise DemoError(f"{node.name} does not hold {file.key!r}")
        if value != file.path.read_bytes():
            raise DemoError(f"{node.name} holds {file.key!r} with another content than {file.path}")
        stage.advance(file.size_bytes)


def check_transactions(node: LiveNode, count: int) -> None:
    """All acknowledged transactions are there, and the counter says that none was done twice."""
    counter = int(node.client.call("GET", COUNTER) or 0)
    if counter != count:
        raise DemoError(f"{count} transactions were acknowledged, but {node.name} counted {counter}")
    replies = node.client.pipeline(("GET", transaction_key(number)) for number in range(1, count + 1))
    for number, value in enumerate(replies, 1):
        if value != b"value of %d" % number:
            raise DemoError(f"{node.name} does not hold acknowledged transaction {number}")


def check_annotations(daemon: Daemon, since: int, count: int) -> None:
    """`replicad updates` shows the annotation of every transaction once, in order, and no other."""
    found = list(_annotations(daemon, since))
    wanted = [annotation(number).decode() for number in range(1, count + 1)]
    if found == wanted:
        return
    counted = Counter(found)
    twice = [text for text, times in counted.items() if times > 1]
    missing = [text for text in wanted if text not in counted]
    raise DemoError(
        f"`replicad updates` of {daemon.name} shows {len(found)} annotations instead of {count}: "
        f"{len(missing)} missing {missing[:3]}, {len(twice)} twice {twice[:3]}"
    )


def _annotations(daemon: Daemon, since: int) -> Iterable[str]:
    command = [
        *(*PROGRAM, "updates", f"{HOST}:{daemon.port}"),
        *("--since", str(since), "--json"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, env=environment())
    if done.returncode != 0:
        raise DemoError(f"`replicad updates` exited with {done.returncode}: {done.stderr.strip()}")
    return _parse(done.stdout)


def _parse(lines: str) -> Iterator[str]:
    for line in lines.splitlines():
        yield from json.loads(line)["annotations"]

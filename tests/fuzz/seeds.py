"""Writes the seeds of the corpus, from `proto/vectors` and the small database of `base`.

python -m tests.fuzz.seeds
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from replicad.backup import catalog, collections, meta
from replicad.backup.names import BackupId
from replicad.state import records
from replicad.types import DatabaseId, Epoch, EpochRecord, HistoryHash, Position, Sequence
from tests.fuzz import base
from tests.fuzz.corpus import CORPUS, REPOSITORY

VECTORS = REPOSITORY / "proto" / "vectors"
Seeds = dict[str, bytes]


def main() -> None:
    for target, files in all_seeds().items():
        directory = CORPUS / target
        directory.mkdir(parents=True, exist_ok=True)
        for name, data in files.items():
            (directory / name.replace(" ", "-").replace("/", "-").replace(",", "")).write_bytes(data)


def all_seeds() -> dict[str, Seeds]:
    blocks = _json("table/blocks.json")
    bodies = {case["name"]: bytes.fromhex(case["body"]) for case in _json("batch.json")["valid"]}
    data_blocks = {case["name"]: bytes.fromhex(case["raw"]) for case in blocks["data"]["valid"]}
    indexes = {case["name"]: bytes.fromhex(case["raw"]) for case in blocks["index"]["valid"]}
    filters = {case["name"]: bytes.fromhex(case["raw"]) for case in blocks["filter"]["valid"]}
    wire = {
        f"{number:02d}-{case['message']}": bytes.fromhex(case["bytes"])
        for number, case in enumerate(_json("wire.json"))
    }
    logs = {path.name: path.read_bytes() for path in (VECTORS / "log").glob("*.log")}
    image, log_image = base.image(), base.log_image()
    log = log_image[base.name_of(log_image, "*.log")]
    small = [raw for raw in data_blocks.values() if len(raw) < 1000][:4]
    return {
        "batch": bodies,
        "apply": bodies,
        "frames": {name: b"\0" + data[64:] for name, data in logs.items()},
        "block": {name: _part(b"apple") + raw for name, raw in data_blocks.items()},
        "index": {name: _part(b"key") + raw for name, raw in indexes.items()},
        "filter": {name: b"\x0a" + raw for name, raw in filters.items()},
        "merge": {"two-runs": b"\x06" + b"".join(map(_part, small))},
        "read_view": {
            name: b"\xff" + b"".join(map(_part, [b"a", b"z", b"key", raw, b"", *small]))
            for name, raw in indexes.items()
        },
        "resp": _resp(),
        "requests": {**_resp(), **_executed()},
        "wire": {
            "session": b"\x07" + b"".join(wire.values()),
            **{name: b"\xff" + data for name, data in wire.items()},
        },
        "message": {
            name: data[8:9] + data[16 : 16 + int.from_bytes(data[10:12], "little")]
            for name, data in wire.items()
        },
        "config": {
            path.name: path.read_bytes() for path in (REPOSITORY / "deploy" / "config").glob("*.toml")
        },
        "current": {"current": image[base.name_of(image, "CURRENT")]},
        "manifest": {
            "vector": (VECTORS / "manifest" / "MANIFEST-000007").read_bytes(),
            "small": image[base.name_of(image, "MANIFEST-*")],
        },
        "segment": {**logs, "small.log": log},
        "archived": {**logs, "small.log": log},
        "table": {
            **{path.name: path.read_bytes() for path in (VECTORS / "table").glob("*.sst")},
            "small.sst": image[base.name_of(image, "*.sst")],
        },
        "options": {
            "written": image[base.name_of(image, "OPTIONS-*.toml")],
            "later-keys": b'later = [1, {a = "b"}]\n',
        },
        "document": _documents(),
        "state": _states(),
        "name": _names(),
    }


def _json(name: str) -> Any:
    return json.loads((VECTORS / name).read_text())


def _part(data: bytes) -> bytes:
    """As `Parts` of tests/fuzz/native/harness.h takes it."""
    return len(data).to_bytes(2, "little") + data


def _resp() -> Seeds:
    commands = b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$5\r\nhello\r\n*2\r\n$3\r\nGET\r\n$1\r\nk\r\n"
    return {
        "commands": b"\xff" + commands,
        "in-pieces": b"\x03" + commands + b"*0\r\n*-1\r\n*1\r\n$4\r\nPING\r\n",
        "inline": b"\x05" + b"SET k \"a \\x41\\n\" 'it\\'s'\r\nPING\n" + commands,
        "declared": b"\xff*1000000000\r\n$99999999999\r\n",
        "declared-of-other-types": b"\xff>1000000000\r\n~1000000000\r\n*2\r\n$1\r\naXY%1000000000\r\n",
        "other-types": b"\xff*1\r\n:5\r\n%1\r\n+a\r\n-b\r\n~2\r\n#t\r\n,1.5\r\n_\r\n",
    }


def _executed() -> Seeds:
    """What the kernel executes by itself, the last of it in a transaction."""
    lines = """
    PING|GET k|GET none|MGET k none|EXISTS k k|STRLEN k|GETRANGE k 0 -1|SET k 7|SET n 1 NX GET|SETNX n 2
    MSET a 1 b 2|DEL a none|INCR k|DECRBY k 3|APPEND k xyz|GET k
    MULTI|SET k 1|INCR k|GET k|EXEC|MULTI|TYPE k|EXEC
    """
    requests = [line.split() for line in lines.replace("\n", "|").split("|") if line.strip()]
    stream = b"".join(
        b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%b\r\n" % (len(word), word.encode()) for word in words)
        for words in requests
    )
    return {"executed": b"\xff" + stream, "executed-in-pieces": b"\x09" + stream}


_POSITION = Position(Epoch(2), Sequence(300), HistoryHash(0xFEED))


def _documents() -> Seeds:
    file = meta.BackupFile(
        path="000012.sst",
        name="shared_checksum/000012_9f86d081884c7d65_40960.sst",
        size_bytes=40960,
        sha256=b"\x9f" * 32,
        kind="shared",
    )
    made = meta.BackupMeta(
        id=BackupId(3),
        database_id=DatabaseId(b"d" * 16),
        position=_POSITION,
        flushed=_POSITION,
        epochs=(EpochRecord(Epoch(2), b"e" * 16, Position(Epoch(1), Sequence(9), HistoryHash(7))),),
        commit_time_us=1,
        created_us=2,
        copied_bytes=3,
        copied_files=4,
        metadata=b"nightly",
        files=(file,),
    )
    pending = meta.PendingBackup(id=BackupId(4), owner="0123456789abcdef", seen_us=5, names=(file.name,))
    whole = catalog.merged((), [made.id], {made.id: catalog.ReadMeta(made, 500, bytes(32))})
    return {
        "meta": meta.encode_meta(made),
        "pending": meta.encode_pending(pending),
        "catalog": catalog.encode_catalog(whole),
        "revoked": collections.encode_revoked(6),
        "doubted": collections.encode_doubted(7),
    }


def _states() -> Seeds:
    return {
        "identity": records.encode(records.NodeRecord(node_id=b"n" * 16, created_us=1)),
        "shown": records.encode(
            records.Shown(
                role="replica",
                database_id=b"d" * 16,
                position=str(_POSITION),
                primary_address="127.0.0.1:6381",
                link=None,
                at_us=1,
            )
        ),
        "bootstrap": records.encode(
            records.BootstrapProgress(
                copy_id=b"c" * 16,
                position=str(_POSITION),
                files=1,
                files_total=2,
                size_bytes=3,
                size_bytes_total=4,
                started_us=5,
            )
        ),
        "slot": records.encode(records.Slot(node_id=b"n" * 16, sequence=9, seen_us=1, name="paris")),
    }


def _names() -> Seeds:
    def lines() -> Iterator[str]:
        yield str(_POSITION)
        yield f"log/{'0' * 32}/0000000001-{1:020d}-{9:020d}-00000000deadbeef-{7:020d}.log"
        yield "shared_checksum/000012_9f86d081884c7d65_40960-3.sst"
        yield "attachments/dir/file"

    return {f"{number}": line.encode() for number, line in enumerate(lines())}


if __name__ == "__main__":
    main()

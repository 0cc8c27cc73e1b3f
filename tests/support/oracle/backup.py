"""A plain reader of backup targets, written from `proto/backup.md` alone."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any

_DOCUMENT = re.compile(rb'\{"replicad":"([a-z-]+)","sha256":"([0-9a-f]{64})","body":(.*)\}\n', re.DOTALL)


def read_document(data: bytes) -> tuple[str, dict[str, Any]]:
    """(kind, body); asserts the checksum and the canonical form."""
    match = _DOCUMENT.fullmatch(data)
    assert match is not None
    kind, digest, content = match.groups()
    assert hashlib.sha256(kind + b"\n" + content).hexdigest().encode() == digest
    body = json.loads(content)
    canonical = json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert canonical.encode() == content
    assert body["version"] == 1
    return kind.decode(), body


def backups(target: Path) -> dict[int, dict[str, Any]]:
    """Every backup at a target that is a directory, by id."""
    revoked = {int(path.name.split("-")[0]) for path in (target / "meta").glob("*.revoked.json")}
    found = {}
    for path in (target / "meta").iterdir():
        if re.fullmatch(r"[1-9]\d*\.json", path.name) and int(path.stem) not in revoked:
            kind, body = read_document(path.read_bytes())
            assert kind == "backup" and body["id"] == int(path.stem)
            found[body["id"]] = body
    return found


def check_files(target: Path, backup: dict[str, Any]) -> int:
    """Asserts that every file is what the meta says; bytes of all."""
    total = 0
    for file in backup["files"]:
        data = (target / file["name"]).read_bytes()
        assert len(data) == file["size"]
        assert hashlib.sha256(data).hexdigest() == file["sha256"]
        assert file["name"].startswith(
            {
                "shared": "shared_checksum/",
                "private": f"private/{backup['id']}/",
                "attachment": "attachments/",
            }[file["kind"]]
        )
        total += len(data)
    return total

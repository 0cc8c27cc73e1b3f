"""JSON documents that carry their own checksum.

    document = {"replicad":"KIND","sha256":"HEX64","body":BODY}\\n

BODY is canonical JSON (UTF-8, keys sorted, no spaces), an object with an integer `version`. The SHA-256 is
that of KIND, a line feed and the bytes of BODY: it is checked before anything is parsed, and no document
passes for one of another kind.
"""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any

from replicad.errors import CorruptionError, NewerFormatError

VERSION = 1

_HEAD = re.compile(rb'\{"replicad":"([a-z-]{1,32})","sha256":"([0-9a-f]{64})","body":')
_END = b"}\n"


def encode(kind: str, body: dict[str, Any]) -> bytes:
    content = json.dumps(
        {**body, "version": VERSION},
        sort_keys=True,
        separators=(",", ":"),
        ensure_ascii=False,
        allow_nan=False,
    ).encode()
    return (
        b'{"replicad":"%s","sha256":"%s","body":' % (kind.encode(), _digest(kind, content)) + content + _END
    )


def decode(kind: str, data: bytes) -> dict[str, Any]:
    """The body. Raises CorruptionError, or NewerFormatError for a version that this program does not know."""
    found = kind_of(data)
    if found is None:
        raise CorruptionError(f"this is not a {kind} document", offset=0)
    if found != kind:
        raise CorruptionError("another kind of document", offset=0, expected=kind, got=found)

    head = _HEAD.match(data)
    assert head is not None
    if not data.endswith(_END):
        raise CorruptionError("the document is cut short", offset=len(data))

    # The checksum comes before the parser, which then sees only what was written.
    content = data[head.end() : -len(_END)]
    if (actual := _digest(kind, content)) != head[2]:
        raise CorruptionError(
            "checksum of the document", offset=0, expected=head[2].decode(), got=actual.decode()
        )

    try:
        body = json.loads(content)
        version = body["version"]
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise CorruptionError(f"not a {kind} document: {error}", offset=head.end()) from error

    # A document of a later version is whole: a reader that is too old says so and does not call it damaged.
    if not isinstance(version, int) or version > VERSION:
        raise NewerFormatError.of(f"{kind} document", version, VERSION)
    return dict(body)


def kind_of(data: bytes) -> str | None:
    """What a file says that it is, by its first bytes."""
    head = _HEAD.match(data)
    return None if head is None else head[1].decode()


def _digest(kind: str, content: bytes) -> bytes:
    return hashlib.sha256(kind.encode() + b"\n" + content).hexdigest().encode()

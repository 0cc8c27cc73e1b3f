"""What a removal of files publishes before it removes any: which ones (`proto/backup.md`)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from replicad.backup import envelope, names
from replicad.backup.target import Target
from replicad.errors import CorruptionError, NotFoundError

COLLECTION_KIND = "backup-collection"
REVOKED_KIND = "revoked-backup"
DOUBTED_KIND = "doubted-backup"


@dataclass(frozen=True, slots=True, kw_only=True)
class Collection:
    """A maker of a backup must not rely on these files any more, nor write them under these names."""

    started_us: int
    """For people."""
    names: tuple[str, ...]


def encode_collection(collection: Collection) -> bytes:
    return envelope.encode(
        COLLECTION_KIND, {"started_us": collection.started_us, "names": list(collection.names)}
    )


def decode_collection(data: bytes) -> Collection:
    """Raises CorruptionError or NewerFormatError."""
    body = envelope.decode(COLLECTION_KIND, data)
    started, listed = body.get("started_us"), body.get("names")
    if not isinstance(started, int) or not isinstance(listed, list):
        raise CorruptionError("not a collection", offset=0)
    return Collection(started_us=started, names=tuple(str(name) for name in listed))


def encode_doubted(doubted_us: int) -> bytes:
    return envelope.encode(DOUBTED_KIND, {"doubted_us": doubted_us})


def decode_doubted(data: bytes) -> int:
    """When a claim was doubted; raises CorruptionError or NewerFormatError."""
    doubted = envelope.decode(DOUBTED_KIND, data).get("doubted_us")
    if not isinstance(doubted, int):
        raise CorruptionError("not a doubt", offset=0)
    return doubted


def encode_revoked(revoked_us: int) -> bytes:
    return envelope.encode(REVOKED_KIND, {"revoked_us": revoked_us})


def decode_revoked(data: bytes) -> int:
    """When a claim was revoked; raises CorruptionError or NewerFormatError."""
    revoked = envelope.decode(REVOKED_KIND, data).get("revoked_us")
    if not isinstance(revoked, int):
        raise CorruptionError("not a revocation", offset=0)
    return revoked


def read_collection(target: Target, name: str) -> Collection | None:
    """None when it is done. Raises CorruptionError or NewerFormatError."""
    try:
        return decode_collection(target.read(name))
    except NotFoundError:
        return None
    except CorruptionError as error:
        located = error.located(f"{target.url}/{name}")
        located.add_note("nobody knows what is being removed; delete this file when surely no removal runs")
        raise located from None


def condemned_names(target: Target, listed: Iterable[str]) -> frozenset[str]:
    """What is being removed, by everybody whose collection is among the names under `meta/`."""
    condemned: set[str] = set()
    for name in listed:
        if names.is_collection(name) and (collection := read_collection(target, name)) is not None:
            condemned.update(collection.names)
    return frozenset(condemned)

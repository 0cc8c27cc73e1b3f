"""What operators asked of links, in the family `replicad.links`: a record in JSON for each.

source               replication addresses of the other primary's site, with commas between
families             the names of the families that are linked
prefixes             of the keys that come over the link; empty: all
keep_losers_seconds  how long what lost is kept
paused               true until the link is resumed
source_database      the id of the source's database, once its data is here
seed                 how far a seed is that is under way
seeds                how often a seed was asked for again
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from replicad.replication.links.batches import Write
from replicad.replication.links.options import LinkOptions
from replicad.replication.links.records import LINKS, OriginRecord
from replicad.replication.links.seeding import SeedPlace
from replicad.store.database import Database

FAMILY, LINK = b"family/", b"link/"
"""Prefixes of the keys."""
PARTIAL = b"partial"
"""A key that is there once something was left out of what came over a link."""

LinkRecord = dict[str, Any]


def link_records(store: Database, family: int) -> dict[str, LinkRecord]:
    """By the name of the link, as the newest state has them."""
    found = store.newest.scan(prefix=LINK, family=family)
    return {key.removeprefix(LINK).decode(): json.loads(value) for key, value in found}


def linked_names(store: Database, family: int) -> frozenset[str]:
    """The families whose writes get stamps."""
    found = store.newest.scan(prefix=FAMILY, family=family)
    return frozenset(key.removeprefix(FAMILY).decode() for key, _ in found)


def family_write(name: str) -> Write:
    return Write(LINKS, FAMILY + name.encode(), b"")


def link_write(name: str, record: LinkRecord | None) -> Write:
    """None removes the link."""
    return Write(LINKS, LINK + name.encode(), None if record is None else json.dumps(record).encode())


def new_record(options: LinkOptions) -> LinkRecord:
    """Of a link that nothing has come over yet."""
    return {
        "source": options.source,
        "families": list(options.families),
        "prefixes": list(options.prefixes),
        "keep_losers_seconds": options.keep_losers_seconds,
        "seeds": 0,
    }


def options_in(record: Mapping[str, Any]) -> LinkOptions:
    return LinkOptions(
        source=record["source"],
        families=tuple(record["families"]),
        prefixes=tuple(record.get("prefixes", ())),
        keep_losers_seconds=record.get("keep_losers_seconds", 0.0),
    )


def source_in(record: LinkRecord) -> bytes | None:
    source = record.get("source_database")
    return None if source is None else bytes.fromhex(source)


def place_in(record: LinkRecord) -> SeedPlace | None:
    found = record.get("seed")
    if found is None:
        return None
    after = found["after"]
    return SeedPlace(
        source=bytes.fromhex(found["source"]),
        epoch=found["epoch"],
        sequence=found["sequence"],
        origins={bytes.fromhex(origin): OriginRecord(*numbers) for origin, *numbers in found["origins"]},
        horizon_us=found.get("horizon_us", 0),
        partial=found.get("partial", False),
        family=found["family"],
        after=None if after is None else bytes.fromhex(after),
    )


def with_place(record: LinkRecord, place: SeedPlace) -> LinkRecord:
    return record | {
        "seed": {
            "source": place.source.hex(),
            "epoch": place.epoch,
            "sequence": place.sequence,
            "origins": [[origin.hex(), *numbers] for origin, numbers in place.origins.items()],
            "horizon_us": place.horizon_us,
            "partial": place.partial,
            "family": place.family,
            "after": None if place.after is None else place.after.hex(),
        }
    }

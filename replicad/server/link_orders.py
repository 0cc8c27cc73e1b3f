"""What an operator, or the configuration, orders of links on this primary.

Each function returns the sequence number of what it wrote, and raises NotFoundError, InvalidArgument or
ConfigError with what to do.
"""

from __future__ import annotations

from typing import Any

from replicad.errors import InvalidArgument, NotFoundError
from replicad.replication.links.batches import Write
from replicad.replication.links.options import LINK_NAME, LinkOptions, is_link_name
from replicad.replication.links.records import GONE_US, ORIGINS
from replicad.server.link_records import LinkRecord, new_record, options_in
from replicad.server.linked_data import LinkedData


def add(linked: LinkedData, name: str, asked: LinkOptions) -> int:
    if not is_link_name(name):
        raise InvalidArgument(f"the name of a link is {LINK_NAME}, and not {name[:64]!r}")
    others = linked.links()
    if name in others:
        raise InvalidArgument(f"there is a link {name} already: REPLICAD.LINK REMOVE it first")
    for record in others.values():
        if taken := set(options_in(record).sources).intersection(asked.sources):
            raise InvalidArgument(f"there is a link from {taken.pop()} already: one carries all families")
    linked.link_families(asked.families)
    return linked.set_link(name, new_record(asked))


def change(linked: LinkedData, name: str, update: dict[str, Any]) -> int:
    return linked.set_link(name, _known(linked, name) | update)


def seed_again(linked: LinkedData, name: str) -> int:
    seeds = _known(linked, name).get("seeds", 0) + 1
    return change(linked, name, {"source_database": None, "seed": None, "seeds": seeds})


def remove(linked: LinkedData, name: str) -> int:
    _known(linked, name)
    return linked.set_link(name, None)


def agree_with(linked: LinkedData, name: str, asked: LinkOptions) -> None:
    """Adds a link, or changes of it what may change while it goes on."""
    record = linked.links().get(name)
    if record is None:
        add(linked, name, asked)
        return
    known = options_in(record)
    if (known.families, known.prefixes) != (asked.families, asked.prefixes):
        raise InvalidArgument(
            f"the configuration gives link {name} other families or prefixes than it has: remove it, and it "
            "is added again and seeded (replicad link remove)"
        )
    if known != asked:
        update = {"source": asked.source, "keep_losers_seconds": asked.keep_losers_seconds}
        linked.set_link(name, record | update)


def forget_member(linked: LinkedData, member: bytes) -> int:
    """Nothing waits for the primary of that database any longer."""
    if member == linked.own:
        raise InvalidArgument("that is the database of this node itself")
    record = linked.origins().get(member)
    if record is None or record.is_gone:
        raise NotFoundError(f"no database {member.hex()} is known here: REPLICAD.LINK MEMBERS lists them")
    for name, link in linked.links().items():
        if link.get("source_database") == member.hex():
            raise InvalidArgument(f"link {name} comes from it: remove that first")
    # What it wrote stays known as seen: a seed must not take it for new.
    return linked.write([Write(ORIGINS, member, record._replace(seen_us=GONE_US).encode())])


def _known(linked: LinkedData, name: str) -> LinkRecord:
    record = linked.links().get(name)
    if record is None:
        raise NotFoundError(f"there is no link {name[:64]!r}: REPLICAD.LINK LIST shows them")
    return record

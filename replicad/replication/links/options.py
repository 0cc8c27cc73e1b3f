"""What an operator asks of a link: `REPLICAD.LINK ADD`, and `[links.NAME]` in the configuration."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from replicad.errors import InvalidArgument
from replicad.net.addresses import Address, parse_address
from replicad.options import check_numbers
from replicad.replication.wire.headers import PREFIX_BYTES_MAX
from replicad.replication.wire.messages import LINKED_FAMILIES_MAX, LINKED_PREFIXES_MAX

LINK_NAME = r"[A-Za-z0-9_.-]{1,64}"
SOURCES_MAX = 8
KEEP_SECONDS_MAX = 315_360_000


@dataclass(frozen=True, kw_only=True)
class LinkOptions:
    """Raises InvalidArgument for a link that there cannot be, ConfigError for what is not an address."""

    source: str
    """The replication address of the other primary; or of several nodes there, with commas between: they are
    tried in turn, so that the link finds the primary after a failover there."""
    families: tuple[str, ...] = ("default",)
    """The column families that are linked."""
    prefixes: tuple[str, ...] = ()
    """Only keys that begin with one of these come over the link; without any, all keys."""
    keep_losers_seconds: float = 0.0
    """How long a write is kept that came over the link and was older than what was here, for `replicad link
    conflicts`; 0: not at all."""

    LEAST: ClassVar[Mapping[str, float]] = {"keep_losers_seconds": 0}

    def __post_init__(self) -> None:
        check_numbers(self)
        if self.keep_losers_seconds > KEEP_SECONDS_MAX:
            raise InvalidArgument(f"keep_losers_seconds is at most {KEEP_SECONDS_MAX:,} (ten years)")
        if len(set(self.sources)) < len(self.sources):
            raise InvalidArgument(f"source has an address twice: {self.source}")
        if not 1 <= len(self.sources) <= SOURCES_MAX:
            raise InvalidArgument(f"source has 1 to {SOURCES_MAX} addresses, not {len(self.sources)}")
        if not 1 <= len(self.families) <= LINKED_FAMILIES_MAX:
            raise InvalidArgument(f"families has 1 to {LINKED_FAMILIES_MAX} names")
        if len(self.prefixes) > LINKED_PREFIXES_MAX:
            raise InvalidArgument(f"prefixes has at most {LINKED_PREFIXES_MAX} of them")
        if any(not 0 < len(each) <= PREFIX_BYTES_MAX for each in self.prefix_bytes):
            raise InvalidArgument(f"prefixes has one that has not 1 to {PREFIX_BYTES_MAX} bytes")

    @property
    def sources(self) -> tuple[Address, ...]:
        return tuple(parse_address(each.strip()) for each in self.source.split(","))

    @property
    def prefix_bytes(self) -> tuple[bytes, ...]:
        return tuple(map(prefix_bytes, self.prefixes))


def prefix_bytes(text: str) -> bytes:
    """Of a prefix as records and commands have it: bytes that are not UTF-8 are surrogates there."""
    return text.encode("utf-8", "surrogateescape")


def prefix_text(prefix: bytes) -> str:
    return prefix.decode("utf-8", "surrogateescape")


def is_link_name(name: str) -> bool:
    return re.fullmatch(LINK_NAME, name) is not None

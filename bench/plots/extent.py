"""How far each curve goes, and how long a point is measured: a full run, and a pass of two minutes."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Extent:
    records: tuple[int, ...]
    reads: int
    value_bytes: tuple[int, ...]
    values_total_bytes: int
    values_requests_max: int
    replicas: tuple[int, ...]
    replicated_requests: int
    clients: tuple[int, ...]
    synced_requests_a_client: int
    synced_requests_max: int
    limit_bytes: int
    limit_syncs: int


FULL = Extent(
    records=(100_000, 300_000, 1_000_000, 3_000_000, 10_000_000),
    reads=200_000,
    value_bytes=(16, 64, 256, 1024, 4096, 16_384, 65_536, 262_144, 1_048_576),
    values_total_bytes=300_000_000,
    values_requests_max=300_000,
    replicas=(0, 1, 2, 4, 8),
    replicated_requests=300_000,
    clients=(1, 3, 10, 30, 100, 300, 1000),
    synced_requests_a_client=1000,
    synced_requests_max=50_000,
    limit_bytes=1 << 30,
    limit_syncs=300,
)
QUICK = Extent(
    records=(10_000, 30_000, 100_000),
    reads=20_000,
    value_bytes=(16, 1024, 65_536, 1_048_576),
    values_total_bytes=30_000_000,
    values_requests_max=20_000,
    replicas=(0, 1, 2),
    replicated_requests=30_000,
    clients=(1, 10, 100),
    synced_requests_a_client=100,
    synced_requests_max=5_000,
    limit_bytes=64 << 20,
    limit_syncs=50,
)

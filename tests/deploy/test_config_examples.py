"""The example configurations are ones that the daemons accept."""

from __future__ import annotations

from pathlib import Path

from replicad.daemon.config import load_primary, load_replica

EXAMPLES = Path(__file__).resolve().parents[2] / "deploy" / "config"


def test_the_primarys_example_needs_only_the_data_directory(tmp_path: Path) -> None:
    """The primary's example needs nothing but the data directory that the unit gives."""
    config = load_primary(EXAMPLES / "primary.toml", data=tmp_path)
    assert str(config.listen) == "127.0.0.1:6380"
    assert str(config.replication) == "127.0.0.1:6381"
    assert config.store.durability == "sync"


def test_the_replicas_example_follows_the_primarys(tmp_path: Path) -> None:
    """The replica's example follows the primary's example."""
    config = load_replica(EXAMPLES / "replica.toml", data=tmp_path)
    assert config.primary == load_primary(EXAMPLES / "primary.toml", data=tmp_path).replication

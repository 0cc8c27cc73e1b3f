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


def test_a_node_of_a_failover_has_one_example_for_both_verbs(tmp_path: Path) -> None:
    """What is commented out there for some of the machines is right, too."""
    config = load_primary(EXAMPLES / "failover.toml", data=tmp_path)
    assert config.failover.is_on
    assert config.link.synchronous == "any 1"
    text = (EXAMPLES / "failover.toml").read_text()
    assert "# primary =" in text and "# user =" in text
    text = text.replace("# primary =", "primary =").replace("192.0.2.1", "127.0.0.2")
    for key in ("user", "password_file"):
        text = text.replace(f"# {key} =", f"{key} =")
    full = tmp_path / "full.toml"
    full.write_text(text)
    replica = load_replica(full, data=tmp_path)
    assert str(replica.primary) == "127.0.0.2:6381"
    assert replica.failover.user == "replicad"

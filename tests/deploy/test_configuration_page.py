"""docs/configuration.md has every section and every key, as the code has them."""

from __future__ import annotations

from replicad.daemon.config import PrimaryConfig, ReplicaConfig
from replicad.daemon.config.help import help_of, help_of_table
from replicad.daemon.config.keys import keys_of
from tests.deploy.configuration_page import PAGE, page


def test_the_page_is_what_the_code_says() -> None:
    """`python -m tests.deploy.configuration_page` writes it anew."""
    assert PAGE.read_text() == page()


def test_every_key_and_section_has_its_text() -> None:
    """A field without a docstring below it would be a key that nobody explains."""
    for kind in (PrimaryConfig, ReplicaConfig):
        assert [key.dotted for key in keys_of(kind) if not help_of(key).endswith(".")] == []
        tables = {key.path[:-1] for key in keys_of(kind)}
        assert [path for path in tables if path and not help_of_table(kind, path)] == []


def test_a_replica_has_every_key_of_a_primary() -> None:
    """The page is made of a replica's keys."""
    primary = {key.path for key in keys_of(PrimaryConfig)}
    assert {key.path for key in keys_of(ReplicaConfig)} - primary == {("primary",), ("from_backup",)}
    assert primary <= {key.path for key in keys_of(ReplicaConfig)}

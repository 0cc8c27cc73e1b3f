"""What names of targets mean, and which mean nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from replicad.backup.address import check_for_node, check_outlives, parse_target
from replicad.daemon.backups.options import NodeBackupOptions
from replicad.errors import ConfigError, InvalidArgument

MEANT: dict[str, Path | str] = {
    "/srv/backups": Path("/srv/backups"),
    "backups": Path("backups"),
    "./s3:odd": Path("./s3:odd"),
    "file:///srv/backups": Path("/srv/backups"),
    "file://localhost/srv/backups/": Path("/srv/backups"),
    "Local:///srv": Path("/srv"),
    "s3://bucket": "s3://bucket",
    "s3://bucket/a/b/": "s3://bucket/a/b",
    "memory://name": "memory://name",
}
MEANINGLESS = {
    "": "has no name",
    "  ": "has no name",
    "file://": "relative",
    "file://srv/backups": "relative",
    "local://backups": "relative",
    "file:/srv/backups": "neither a path nor a URL",
    "s3:bucket": "neither a path nor a URL",
    "file:///srv/my%20backups": "write the path itself",
    "s3://": "names no place",
    "s3:///prefix": "names no place",
    "memory://": "names no place",
    "s3://bucket//x": "no empty",
    "s3://bucket/../x": "no empty",
    "simplecache::s3://bucket/x": "not a chain",
    "simplecache::file:///srv": "not a chain",
}


@pytest.mark.parametrize("where", MEANT)
def test_a_directory_or_a_url_is_written_in_one_way(where: str) -> None:
    """A directory or a URL, written in one way."""
    assert parse_target(where) == MEANT[where]


@pytest.mark.parametrize("where", MEANINGLESS)
def test_an_address_that_means_nothing_is_refused(where: str) -> None:
    """It is refused, with what to write instead, by whoever is given it."""
    for refuse in (parse_target, check_for_node, check_outlives):
        with pytest.raises(ConfigError, match=MEANINGLESS[where]):
            refuse(where)
    for name in ("target", "catch_up_from"):
        with pytest.raises(InvalidArgument, match=name):
            NodeBackupOptions(**{name: where})  # type: ignore[arg-type]


@pytest.mark.parametrize("where", ["memory://name", "MEMORY://name", "backups", "./backups"])
def test_a_node_backs_up_to_what_outlives_it(where: str) -> None:
    """Neither its own memory nor a path that depends on where it was started."""
    with pytest.raises(ConfigError, match=r"relative path|ends with the process"):
        check_for_node(where)
    with pytest.raises(InvalidArgument, match="target"):
        NodeBackupOptions(target=where)

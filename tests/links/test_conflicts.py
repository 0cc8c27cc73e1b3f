"""What lost is kept, and shown."""

from __future__ import annotations

import json
from typing import Any

import pytest
import redis

from tests.links.sites import Sites
from tests.support.waiting import eventually


def conflicts(sites: Sites, number: int, *words: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads(sites.nodes[number].ask("REPLICAD.LINK", "CONFLICTS", *words))
    return rows


def test_the_older_of_two_writes_is_kept_where_it_met_the_newer_one(pair: Sites) -> None:
    """And for as long as the link says; a restart changes nothing."""
    first, second = pair.nodes
    second.ask("REPLICAD.LINK", "ADD", "from0", pair.replication[0], "KEEPLOSERS", "3600")
    pair.until_streaming(1, 0)
    second.ask("REPLICAD.LINK", "PAUSE", "from0")
    eventually(lambda: pair.link_of(1, 0)["state"] == "paused")
    first.ask("SET", "k", "older")
    first.ask("DEL", "gone")
    first.ask("SET", "unseen", "1")
    second.ask("SET", "k", "newer")
    second.ask("REPLICAD.LINK", "RESUME", "from0")
    eventually(lambda: second.ask("GET", "unseen") == b"1")
    (found,) = conflicts(pair, 1)
    assert (found["link"], found["family"], found["key"], found["value"]) == (
        "from0",
        "default",
        "k",
        "older",
    )
    assert found["written_us"] < found["winner_written_us"] and found["origin"] != found["winner_origin"]
    assert second.ask("GET", "k") == b"newer" and pair.link_of(1, 0)["operations_lost"] == 1
    assert len(conflicts(pair, 1, "from0", "COUNT", "1")) == 1
    with pytest.raises(redis.ResponseError, match="there is no link 'another'"):
        conflicts(pair, 1, "another")
    assert second.terminate() == 0
    second.start()
    assert conflicts(pair, 1) == [found]


def test_what_lost_is_not_kept_for_ever(pair: Sites) -> None:
    first, second = pair.nodes
    second.ask("REPLICAD.LINK", "ADD", "from0", pair.replication[0], "KEEPLOSERS", "0.001")
    pair.until_streaming(1, 0)
    second.ask("REPLICAD.LINK", "PAUSE", "from0")
    eventually(lambda: pair.link_of(1, 0)["state"] == "paused")
    first.ask("SET", "k", "older")
    second.ask("SET", "k", "newer")
    second.ask("REPLICAD.LINK", "RESUME", "from0")
    eventually(lambda: pair.link_of(1, 0).get("operations_lost") == 1)
    eventually(lambda: conflicts(pair, 1) == [])

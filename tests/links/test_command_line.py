"""`replicad link`, as an operator reads it."""

from __future__ import annotations

import json
import subprocess
import sys

from tests.links.sites import Sites
from tests.support.waiting import eventually


def link(*words: str) -> str:
    """What the verb prints; fails when it fails."""
    command = [sys.executable, "-m", "replicad", "link", *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_link_is_added_looked_at_and_removed(pair: Sites) -> None:
    first, second = pair.nodes
    node = f"127.0.0.1:{second.port}"
    assert link("list", node) == "no links\n"
    added = link("add", node, "paris", pair.replication[0], "--prefix", "eu:", "--keep-losers", "60")
    assert added == f"paris is added: replicad link list {node} shows how far it is\n"
    eventually(lambda: "streaming" in link("list", node))
    heading, row = link("list", node).splitlines()
    assert heading.split() == ["name", "direction", "other", "carries", "state", "behind", "reason"]
    words = ["paris", "in", pair.replication[0], "default,", "eu:*", "streaming", "0", "-"]
    assert row.split() == words
    assert "all that is linked" not in link("list", f"127.0.0.1:{first.port}")
    assert json.loads(link("show", node, "paris", "--json"))["operations_lost"] == 0
    assert "batches applied" in link("show", node, "paris")

    assert link("conflicts", node) == "no conflicts are kept\n"
    assert "is paused" in link("pause", node, "paris")
    eventually(lambda: "paused" in link("show", node, "paris"))
    first.ask("SET", "eu:k", "older")
    first.ask("DEL", "eu:d")
    second.ask("SET", "eu:k", "newer\n")
    link("resume", node, "paris")
    eventually(lambda: "older" in link("conflicts", node, "paris", "--count", "1"))
    heading, row = link("conflicts", node).splitlines()
    assert heading.split() == ["arrived", "link", "family", "key", "lost"]
    assert row.split()[1:] == ["paris", "default", "eu:k", "older"]

    other = next(row for row in json.loads(link("members", node, "--json")) if not row["is_this"])
    assert other["database"] in link("members", node)
    assert "is removed" in link("remove", node, "paris")
    assert link("forget", node, other["database"]) == f"{other['database']} is forgotten\n"
    assert other["database"] not in link("members", node)

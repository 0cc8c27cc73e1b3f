"""What must hold of acknowledgements, whatever happened."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from tests.failover.writers import Acknowledgement, FindingWriter
from tests.support.nodes.daemons import Daemon
from tests.torture.applications import PAGE, list_of
from tests.torture.asking import status_of
from tests.torture.judge import Violation


def check_epochs(acknowledgements: Iterable[Acknowledgement]) -> None:
    """Each epoch has one node that acknowledges; and what was asked after a write of an epoch was
    acknowledged is not acknowledged in a lower one."""
    known = [each for each in acknowledgements if each.epoch is not None]
    leaders: dict[int, Daemon] = {}
    for each in known:
        assert each.epoch is not None
        first = leaders.setdefault(each.epoch, each.node)
        if first is not each.node:
            raise Violation(f"{first.name} and {each.node.name} acknowledged in epoch {each.epoch}")
    answered, newest, position = sorted(known, key=lambda each: each.at), 0, 0
    for each in sorted(known, key=lambda each: each.asked_at):
        while position < len(answered) and answered[position].at < each.asked_at:
            newest = max(newest, answered[position].epoch or 0)
            position += 1
        if (each.epoch or 0) < newest:
            raise Violation(
                f"{each.node.name} acknowledged {each.number} in epoch {each.epoch} after {newest}"
            )


def check_refused(primary: Daemon, writers: Sequence[FindingWriter]) -> None:
    """What was refused is not there."""
    with primary.client() as client:
        for writer in writers:
            lists = client.mget([list_of(writer.name, number) for number in range(0, writer.tried + 1, PAGE)])
            there = {int(number) for page in lists if page for number in page.split(b",")[:-1]}
            if wrong := sorted(there.intersection(writer.refused)):
                raise Violation(f"{writer.name}: refused, and there: {wrong[:20]}")


def not_settled(nodes: Sequence[Daemon]) -> str | None:
    """Why the nodes are not one leader, and the others that follow it and count, yet; or None."""
    found = {node.name: status_of(node) for node in nodes}
    for name, status in found.items():
        if status is None or status["position"] is None:
            return f"{name} does not answer"
    standings = {name: status["standing"] for name, status in found.items() if status}
    if sorted(standings.values()) != ["following"] * (len(nodes) - 1) + ["primary"]:
        return f"the nodes stand like this: {standings}"
    (leader,) = (status for status in found.values() if status and status["standing"] == "primary")
    for name, status in found.items():
        if status is not None and (reason := _not_in_its_place(status, leader)) is not None:
            return f"{name} {reason}"
    return _not_complete(leader, len(nodes))


def _not_in_its_place(status: dict[str, Any], leader: dict[str, Any]) -> str | None:
    failover = status["failover"]
    if failover["unreachable"] is not None:
        return f"does not reach etcd: {failover['unreachable']}"
    if status["epoch"] != leader["epoch"]:
        return f"is in epoch {status['epoch']}, and the primary in {leader['epoch']}"
    named = (failover["cluster"] or {}).get("leader")
    if named is None or not named["begun"] or named["node_id"] != leader["node_id"]:
        return f"sees {named} lead"
    if status is not leader and status["link"]["state"] != "streaming":
        return f"has a link that is {status['link']['state']}"
    return None


def _not_complete(leader: dict[str, Any], count: int) -> str | None:
    failover = leader["failover"]
    cluster = failover["cluster"]
    if not failover["leads"] or not failover["may_acknowledge_seconds"]:
        return "the primary may not acknowledge"
    others = [each["node_id"] for each in cluster["next"] if each["not_eligible"] is None]
    if len(others) != count - 1:
        return f"these may lead next: {cluster['next']}"
    if (rule := cluster["rule"]) is None or rule["replicas"] != sorted(others):
        return f"the rule is {rule}"
    return None

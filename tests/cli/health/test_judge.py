"""What is wrong with nodes: tables in tests/testdata/health."""

from __future__ import annotations

import json
import re

import pytest

from replicad.cli.health.finding import Finding, Severity, Thresholds
from replicad.cli.health.judge import find_all
from replicad.cli.nodes.ask import NodeAnswer
from replicad.errors import DoorFault, NotFoundError, ReplyError, UnreachableError, WrongDoorError
from tests.cli.health.documents import document
from tests.support.cases import Case, cases


def shown(findings: list[Finding]) -> str:
    lines = [
        f"{each.severity.name} {each.node}: {each.what}\n  do: {each.remedy}\n  see: {each.page.path}"
        for each in findings
    ]
    return "\n".join(lines) or "well"


@pytest.mark.parametrize("case", cases("health/node"), ids=str)
def test_what_is_wrong_with_one_node(case: Case) -> None:
    base = case.choice("base", "primary", "replica", "empty")
    changes = {key: json.loads(case[key]) for key in case.keys if key != "base"}
    answer = NodeAnswer(name="A", document=document(base, changes))
    case.expect(shown(find_all([answer], Thresholds())))


@pytest.mark.parametrize("case", cases("health/nodes"), ids=str)
def test_what_is_wrong_with_several_nodes(case: Case) -> None:
    answers = [said(name.upper(), text) for name in "abc" if (text := case.get(name)) is not None]
    case.expect(shown(find_all(answers, Thresholds())))


def said(name: str, text: str) -> NodeAnswer:
    kind, _, rest = text.partition(": ")
    if kind == "unreachable":
        return NodeAnswer(name=name, error=UnreachableError(f"127.0.0.1:1: {rest}"))
    if kind == "door":
        fault, _, reason = rest.partition(": ")
        return NodeAnswer(name=name, error=WrongDoorError(f"127.0.0.1:1: {reason}", DoorFault[fault]))
    if kind == "error":
        error = NotFoundError(rest) if rest.startswith("/") else ReplyError(rest)
        return NodeAnswer(name=name, error=error)
    if kind == "directory":
        made = document("primary", {"node_id": "9", "in_use": rest == "in use"})
        return NodeAnswer(name=name, document=made, is_directory=True)
    base, *words = text.split()
    made = document(base)
    for word, value in re.findall(r"(of|in|id|feeds) (\w+)", " ".join(words)):
        if word == "feeds":
            made["replicas"][0] |= {"node_id": value, "lag_seconds": 50.0}
        else:
            made[{"of": "database_id", "in": "epoch", "id": "node_id"}[word]] = (
                int(value) if word == "in" else value
            )
    if "lags" in words:
        made["link"]["staleness_seconds"] = 50.0
    return NodeAnswer(name=name, document=made)


def test_the_thresholds_of_the_caller_count() -> None:
    """A replica that needs no other, and a lag in bytes."""
    from replicad.cli.health.finding import Threshold

    alone = NodeAnswer(name="A", document=document("primary", {"replicas": []}))
    assert find_all([alone], Thresholds(replicas=0)) == []
    behind = NodeAnswer(name="A", document=document("primary", {"replicas.0.lag_bytes": 5000}))
    (found,) = find_all([behind], Thresholds(lag_bytes=Threshold(warning=1000, critical=4000)))
    assert (found.severity, found.what) == (Severity.CRITICAL, "lyon is 4.9 KiB behind it")

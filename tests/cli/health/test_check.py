"""The answer to a monitoring system: one line and an exit code."""

from __future__ import annotations

import re
from typing import Any

import pytest

from replicad.cli.health.check import check_line, unknown_line
from replicad.cli.health.finding import Threshold, Thresholds
from replicad.cli.health.judge import find_all
from replicad.cli.nodes.ask import NodeAnswer
from replicad.errors import ReplyError, UnreachableError
from tests.cli.health.documents import document

NUMBER = r"'([^']|'')+'=-?[0-9.e+]+(s|B)?;([0-9.]+:?)?;([0-9.]+)?;[0-9.]+"
LINE = re.compile(rf"REPLICAD (OK|WARNING|CRITICAL|UNKNOWN): [^|\n]+( \| {NUMBER}( {NUMBER})*)?")
DOWN = NodeAnswer(name=":1", error=UnreachableError("127.0.0.1:1: connection refused"))


def live(base: str, name: str = ":6380", **changes: Any) -> NodeAnswer:
    keys = {path.replace("__", "."): value for path, value in changes.items()}
    return NodeAnswer(name=name, document=document(base, keys))


CASES: dict[str, tuple[list[NodeAnswer], int, str]] = {
    "nodes that are well": (
        [live("primary"), live("replica", ":6390")],
        0,
        "REPLICAD OK: 2 nodes well | ':6380 replicas'=1;1:;;0 ':6380 lyon lag'=0B;1000;;0 "
        "':6390 lag'=0.8s;30;300;0",
    ),
    "a note is not counted": (
        [live("replica", log_lines_dropped=3)],
        0,
        "REPLICAD OK: 1 node well | ':6380 lag'=0.8s;30;300;0",
    ),
    "a warning": (
        [live("replica", link__staleness_seconds=40)],
        1,
        "REPLICAD WARNING: :6380: is behind: a read may be 40s old | ':6380 lag'=40s;30;300;0",
    ),
    "the worst comes first, and the others are counted": (
        [live("replica", link__staleness_seconds=40), DOWN],
        2,
        "REPLICAD CRITICAL: :1: cannot be reached: connection refused (1 more) | ':6380 lag'=40s;30;300;0",
    ),
    "a node that says nothing": (
        [NodeAnswer(name=":6380", error=ReplyError("NOAUTH Authentication required."))],
        3,
        "REPLICAD UNKNOWN: :6380: does not say how it is: NOAUTH Authentication required.",
    ),
    "a warning gives way to what nobody knows": (
        [live("replica", link__staleness_seconds=40), NodeAnswer(name=":1", error=ReplyError("ERR"))],
        3,
        "REPLICAD UNKNOWN: :1: does not say how it is: ERR (1 more) | ':6380 lag'=40s;30;300;0",
    ),
    "a directory has no numbers": (
        [NodeAnswer(name="/srv/p", document=document("primary"), is_directory=True)],
        3,
        "REPLICAD UNKNOWN: /srv/p: was not asked: its daemon does not run",
    ),
    "no connection is free": (
        [NodeAnswer(name=":1", error=ReplyError("ERR max number of clients reached"))],
        2,
        "REPLICAD CRITICAL: :1: takes no more clients: ERR max number of clients reached",
    ),
    "a reason cannot begin the numbers": (
        [live("primary", failure="a | 'b'=1\n2\x1b", replicas=[])],
        2,
        "REPLICAD CRITICAL: :6380: its store failed: a / 'b'=1 2\\x1b (1 more) | ':6380 replicas'=0;1:;;0",
    ),
    "a name cannot end its label": (
        [live("primary", replicas__0__name="it's=a|\n")],
        0,
        "REPLICAD OK: 1 node well | ':6380 replicas'=1;1:;;0 ':6380 it''s a/\\n lag'=0B;1000;;0",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_the_line_is_what_nagios_reads(name: str) -> None:
    """State, reason, numbers with their thresholds."""
    answers, code, line = CASES[name]
    thresholds = Thresholds(lag_bytes=Threshold(warning=1000))
    assert check_line(answers, find_all(answers, thresholds), thresholds) == (code, line)
    assert LINE.fullmatch(line)


def test_what_cannot_be_asked_is_unknown() -> None:
    assert unknown_line("'x' is not N or N,M") == (3, "REPLICAD UNKNOWN: 'x' is not N or N,M")

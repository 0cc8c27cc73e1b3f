"""What a person sees: what is wrong first, then one line for each node."""

from __future__ import annotations

import doctest

import pytest

from replicad.cli import terminal
from replicad.cli.health.finding import Severity, Thresholds
from replicad.cli.health.judge import find_all
from replicad.cli.health.page import STYLES, status_lines
from replicad.cli.health.summary import summarize
from replicad.cli.nodes.ask import NodeAnswer
from replicad.errors import UnreachableError
from tests.cli.health.documents import document


def page(*answers: NodeAnswer) -> str:
    findings = find_all(answers, Thresholds())
    lines = status_lines(findings, summarize(answers, findings))
    return "\n".join("".join(text for text, _ in line) for line in lines)


def test_what_is_wrong_comes_before_the_nodes() -> None:
    """The worst first, each with its remedy and its page; every node has its line all the same."""
    shown = page(
        NodeAnswer(name=":6380", document=document("primary", {"position": "2:1000:00ff", "epoch": 2})),
        NodeAnswer(name=":6390", document=document("replica", {"link.staleness_seconds": 40})),
        NodeAnswer(name=":6400", error=UnreachableError("127.0.0.1:6400: connection refused")),
        NodeAnswer(name="/srv/r", document={"role": "replica", "shown_at": "2026-01-01"}, is_directory=True),
    )
    assert shown == (
        "CRITICAL  :6400: cannot be reached: connection refused\n"
        "          do: does its daemon run? systemctl status 'replicad-*' there\n"
        "          see: docs/runbook/unreachable-node.md\n"
        "UNKNOWN   /srv/r: was not asked: its daemon does not run\n"
        "          do: start it: systemctl start its unit; systemctl status 'replicad-*' says why it ended\n"
        "          see: docs/runbook/unreachable-node.md\n"
        "WARNING   :6390: is behind: a read may be 40s old\n"
        "          do: replicad top 10.0.0.1:6380 :6390\n"
        "          see: docs/runbook/lag.md\n"
        "\n"
        "node    role     position  lag  waits for                      health\n"
        ":6380   primary  2:1000    -    writes; 1 of 1 replicas there  well\n"
        ":6390   replica  1:40      40s  the next frames                warning\n"
        ":6400   -        -         -    an answer                      critical\n"
        "/srv/r  replica  -         -    shown 2026-01-01               not asked"
    )


def test_nodes_that_are_well_say_so_first() -> None:
    """A note does not change that."""
    first, *_ = page(NodeAnswer(name="A", document=document("primary"))).splitlines()
    assert first == "1 node well"
    first, second, *_ = page(
        NodeAnswer(name="A", document=document("primary", {"log_lines_dropped": 3}))
    ).splitlines()
    assert (first, second[:4]) == ("1 node well", "NOTE")


@pytest.mark.parametrize(
    ("changes", "shown"),
    [
        ({"link.state": "stopped", "link.waits_for": "the operator: why"}, "a person"),
        ({"link.state": "waiting", "link.waits_for": "the next attempt, 1 s after: why"}, "the next attempt"),
        (
            {"link.state": "bootstrapping", "bootstrap": {"size_bytes": 1, "size_bytes_total": 2}},
            "1 B of 2 B",
        ),
    ],
)
def test_a_row_names_what_a_replica_waits_for_without_the_reason(
    changes: dict[str, object], shown: str
) -> None:
    """The finding above gives the reason."""
    last = page(NodeAnswer(name="A", document=document("replica", changes))).splitlines()[-1]
    assert shown in last
    assert "why" not in last


def test_every_severity_has_a_colour() -> None:
    assert STYLES.keys() == set(Severity)


def test_nothing_that_a_node_says_moves_the_cursor() -> None:
    """Control characters are escaped, and markup is text."""
    assert doctest.testmod(terminal).failed == 0
    text = terminal.styled([[("[red]\x1b[2J", "bold")], [("second", "")]])
    assert text.plain == "[red]\\x1b[2J\nsecond"


class Terminal:
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("name", "value", "coloured"), [("NO_COLOR", "1", False), ("NO_COLOR", "", True), ("TERM", "dumb", False)]
)
def test_a_terminal_may_want_no_colours(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, coloured: bool
) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv(name, value)
    assert terminal.has_colours(Terminal()) is coloured  # type: ignore[arg-type]

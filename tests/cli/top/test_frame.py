"""One picture of the live view."""

from __future__ import annotations

from replicad.cli.health.finding import Finding, Severity
from replicad.cli.health.runbook import Runbook
from replicad.cli.nodes.ask import NodeAnswer
from replicad.cli.top.frame import FINDINGS_MAX, frame_lines
from replicad.cli.top.history import Reading
from tests.cli.health.documents import document

ANSWERS = [
    NodeAnswer(name=":6380", document=document("primary")),
    NodeAnswer(name=":6390", document=document("replica")),
]


def drawn(findings: list[Finding], width: int) -> list[str]:
    primary = [Reading(at_seconds=at, commands=at * at * 100, sequence=at * 10) for at in range(5)]
    replica = [
        Reading(at_seconds=at, commands=0, sequence=at * 10, lag_seconds=at * 4.0, disk_bytes=1024 * (at + 1))
        for at in range(5)
    ]
    histories = {0: tuple(primary), 1: tuple(replica)}
    lines = frame_lines(ANSWERS, findings, histories, time="12:00:01Z", width=width)
    return ["".join(text for text, _ in line) for line in lines]


def test_a_frame_shows_the_nodes_and_how_their_numbers_moved() -> None:
    """Rates need two readings, so their line is one shorter."""
    assert "\n".join(line.rstrip() for line in drawn([], 80)) == (
        "replicad top  2 nodes  12:00:01Z  Ctrl-C ends it\n"
        "\n"
        "2 nodes well\n"
        "\n"
        "node   role     position  lag   waits for                      health\n"
        ":6380  primary  1:40      -     writes; 1 of 1 replicas there  well\n"
        ":6390  replica  1:40      0.8s  the next frames                well\n"
        "\n"
        "node   commands/s             writes/s         lag                 disk\n"
        ":6380         700     ▂▄▆█          10           -                    -\n"
        ":6390           0     ▁▁▁▁          10         16s    ▁▃▅▆█     5.0 KiB    ▁▃▅▆█"
    )


def test_a_frame_fits_its_terminal() -> None:
    """From the narrowest with 80 columns on."""
    for width in (80, 100, 140, 400):
        assert max(map(len, drawn([], width))) <= width


def test_many_findings_do_not_push_the_nodes_from_the_screen() -> None:
    findings = [Finding(Severity.WARNING, f"what {each}", "do it", Runbook.LAG, ":6380") for each in range(9)]
    shown = drawn(findings, 80)
    assert sum("what" in line for line in shown) == FINDINGS_MAX
    assert f"and {9 - FINDINGS_MAX} more: replicad status" in shown

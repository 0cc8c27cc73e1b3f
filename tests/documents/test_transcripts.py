"""What pages say that a command prints is what the command prints."""

from __future__ import annotations

from replicad.cli.health.check import check_line
from replicad.cli.health.finding import Thresholds
from replicad.cli.health.judge import find_all
from replicad.cli.health.page import status_lines
from replicad.cli.health.summary import summarize
from replicad.cli.nodes.ask import NodeAnswer
from replicad.errors import UnreachableError
from tests.cli.health.documents import document
from tests.documents.blocks import REPOSITORY, blocks

PRIMARY, REPLICA, GONE = "127.0.0.1:6380", "127.0.0.1:6390", "127.0.0.1:6400"
BEHIND = {"link.staleness_seconds": 40, "position": "2:940:00ff", "primary_clients": PRIMARY}


def transcripts(page: str) -> list[str]:
    return [block.text for block in blocks(REPOSITORY / page) if block.kind == "text"]


def test_the_page_of_status_that_operating_shows() -> None:
    """A replica that is behind, another one that is gone."""
    primary = document("primary", {"position": "2:1000:00ff", "epoch": 2})
    primary["replicas"].append({**primary["replicas"][0], "name": "gone", "state": "away", "away_seconds": 9})
    answers = [
        NodeAnswer(name=PRIMARY, document=primary),
        NodeAnswer(name=REPLICA, document=document("replica", BEHIND)),
        NodeAnswer(name=GONE, error=UnreachableError(f"{GONE}: connection refused")),
    ]
    findings = find_all(answers, Thresholds())
    lines = status_lines(findings, summarize(answers, findings))
    shown = "\n".join("".join(text for text, _ in line) for line in lines)
    assert f"{shown}\n" in transcripts("docs/operating.md")


def test_the_line_of_a_check_that_command_line_shows() -> None:
    """The line of a check, with the numbers of both nodes."""
    primary = document("primary")
    del primary["replicas"][0]["lag_bytes"]
    answers = [
        NodeAnswer(name=PRIMARY, document=primary),
        NodeAnswer(name=REPLICA, document=document("replica", BEHIND)),
    ]
    code, line = check_line(answers, find_all(answers, Thresholds()), Thresholds())
    assert (code, [f"{line}\n"]) == (1, transcripts("docs/command-line.md"))

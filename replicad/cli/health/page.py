"""What `replicad status` shows: what is wrong and what to do, then one line a node; or the same as text.

A line is a list of pieces, each with its style, which a terminal shows in colour.
"""

from __future__ import annotations

from collections.abc import Sequence

from replicad.cli.health.finding import Finding, Severity
from replicad.cli.health.summary import NodeSummary
from replicad.cli.terminal import Line, columns_of
from replicad.units import show_count

STYLES = {
    Severity.NOTE: "cyan",
    Severity.WARNING: "bold yellow",
    Severity.UNKNOWN: "bold magenta",
    Severity.CRITICAL: "bold red",
}
_HEALTH_STYLES = {severity.name.lower(): style for severity, style in STYLES.items()} | {
    "well": "green",
    "not asked": "bold magenta",
}
_NAME_WIDTH = max(len(severity.name) for severity in Severity)


def status_lines(findings: Sequence[Finding], rows: Sequence[NodeSummary]) -> list[Line]:
    return [*finding_lines(findings, len(rows)), [], *row_lines(rows)]


def finding_lines(findings: Sequence[Finding], nodes: int) -> list[Line]:
    """What is wrong with the remedy below it, or that nothing is."""
    lines: list[Line] = []
    if all(found.severity is Severity.NOTE for found in findings):
        lines.append([(f"{show_count(nodes, 'node')} well", "bold green")])
    for found in findings:
        name = f"{found.severity.name:<{_NAME_WIDTH}}"
        lines.append([(name, STYLES[found.severity]), (f"  {found.node}: {found.what}", "")])
        lines.append([(f"{'':<{_NAME_WIDTH}}  do: ", "dim"), (found.remedy, "bold")])
        lines.append([(f"{'':<{_NAME_WIDTH}}  see: ", "dim"), (found.page.path, "")])
    return lines


def row_lines(rows: Sequence[NodeSummary]) -> list[Line]:
    headings, widths = columns_of(NodeSummary._fields, rows)
    lines: list[Line] = [[("  ".join(map(str.ljust, headings, widths)).rstrip(), "dim")]]
    for row in rows:
        *cells, health = map(str.ljust, row, widths)
        lines.append([("  ".join(cells) + "  ", ""), (health.rstrip(), _HEALTH_STYLES.get(row.health, ""))])
    return lines

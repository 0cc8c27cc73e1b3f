"""One picture of the live view, as lines: what is wrong, one line a node, and how its numbers moved.

replicad top  2 nodes  12:00:01Z  Ctrl-C ends it

1 node well

node   role     position  lag  waits for                      health
:6380  primary  1:40      -    writes; 1 of 1 replicas there  well

node   commands/s         writes/s  lag              disk
:6380        1.2k ▁▂▃▅▇█       800     -             3.0 KiB ▁▁▁▁▂▂
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from replicad.cli.health.finding import Finding
from replicad.cli.health.page import finding_lines, row_lines
from replicad.cli.health.summary import summarize
from replicad.cli.nodes.ask import NodeAnswer
from replicad.cli.terminal import Line
from replicad.cli.top.history import History, rates
from replicad.cli.top.sparkline import BLOCKS, sparkline
from replicad.units import show_count, show_seconds, show_size

FINDINGS_MAX = 4
"""More of them would push the nodes from the screen."""
LAG_SECONDS = 5.0
"""A lag below it is not drawn as a mountain: heartbeats alone make it go up and down within a second."""
_VALUE_WIDTH = 10
_SPARK_WIDTH_MIN, _SPARK_WIDTH_MAX = 8, 60


def frame_lines(
    answers: Sequence[NodeAnswer],
    findings: Sequence[Finding],
    histories: Mapping[int, History],
    *,
    time: str,
    width: int,
    marks: str = BLOCKS,
) -> list[Line]:
    """`histories` has the place of a node among the answers: its name changes with its first answer."""
    lines: list[Line] = [
        [("replicad top", "bold"), (f"  {show_count(len(answers), 'node')}  {time}  Ctrl-C ends it", "dim")],
        [],
        *finding_lines(findings[:FINDINGS_MAX], len(answers)),
    ]
    if len(findings) > FINDINGS_MAX:
        lines.append([(f"and {len(findings) - FINDINGS_MAX} more: replicad status", "dim")])
    lines += [[], *row_lines(summarize(answers, findings)), []]
    return lines + _movements(answers, histories, width=width, marks=marks)


def _movements(
    answers: Sequence[NodeAnswer], histories: Mapping[int, History], *, width: int, marks: str
) -> list[Line]:
    names = max(4, *(len(answer.name) for answer in answers))
    room = width - names - 4 * (2 + _VALUE_WIDTH) - 3  # with what parts them
    spark = max(_SPARK_WIDTH_MIN, min(_SPARK_WIDTH_MAX, room // 3))

    def cells(name: str, values: Sequence[str], sparks: Sequence[str]) -> Line:
        commands, writes, lag, disk = (f"  {value:>{_VALUE_WIDTH}}" for value in values)
        served, behind, stored = (f" {each:<{spark}}" for each in sparks)
        return [
            *((f"{name:<{names}}{commands}", ""), (served, "cyan")),
            *((writes + lag, ""), (behind, "yellow")),
            *((disk, ""), (stored, "blue")),
        ]

    heading = cells("node", ("commands/s", "writes/s", "lag", "disk"), ("", "", ""))
    lines: list[Line] = [[("".join(text for text, _ in heading).rstrip(), "dim")]]
    for index, answer in enumerate(answers):
        history = histories.get(index, ())
        commands, writes = rates(history, "commands"), rates(history, "sequence")
        lags = [each.lag_seconds for each in history]
        disks = [each.disk_bytes for each in history]
        values = (
            show_rate(commands[-1] if commands else None),
            show_rate(writes[-1] if writes else None),
            "-" if not lags or lags[-1] is None else show_seconds(lags[-1]),
            "-" if not disks or disks[-1] is None else show_size(disks[-1]),
        )
        sparks = (
            sparkline(commands, spark, lowest=0, marks=marks),
            sparkline(lags, spark, lowest=0, highest=LAG_SECONDS, marks=marks),
            sparkline(disks, spark, marks=marks),
        )
        lines.append(cells(answer.name, values, sparks))
    return lines


def show_rate(rate: float | None) -> str:
    """Three digits and a unit.

    >>> show_rate(0.25), show_rate(999.6), show_rate(12_345), show_rate(3e6), show_rate(None)
    ('0.2', '1.0k', '12.3k', '3.0M', '-')
    """
    if rate is None:
        return "-"
    if round(rate) < 1000:
        return f"{rate:.0f}" if rate >= 10 or rate == round(rate) else f"{rate:.1f}"
    return f"{rate / 1e3:.1f}k" if rate < 999_950 else f"{rate / 1e6:.1f}M"

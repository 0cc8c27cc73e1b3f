"""The answer to a monitoring system, by the rules of Nagios plugins: one line, its numbers, an exit code.

    REPLICAD WARNING: :6390: is behind: a read may be 40s old | ':6390 lag'=40s;30;300;0

https://www.monitoring-plugins.org/doc/guidelines.html
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from replicad.cli.health.finding import Finding, Severity, Threshold, Thresholds, called, lag_seconds
from replicad.cli.health.replicas import connected
from replicad.cli.nodes.ask import NodeAnswer
from replicad.cli.terminal import printable
from replicad.units import show_count

EXIT_CODES = {Severity.NOTE: 0, Severity.WARNING: 1, Severity.CRITICAL: 2, Severity.UNKNOWN: 3}


def check_line(
    answers: Sequence[NodeAnswer], findings: Sequence[Finding], thresholds: Thresholds
) -> tuple[int, str]:
    """Exit code and line. Findings come sorted, the worst first."""
    counted = [found for found in findings if found.severity > Severity.NOTE]
    numbers = " ".join(_numbers(answers, thresholds))
    if not counted:
        return 0, _line("OK", f"{show_count(len(answers), 'node')} well", numbers)
    first, *others = counted
    more = f" ({len(others)} more)" if others else ""
    return EXIT_CODES[first.severity], _line(
        first.severity.name, f"{first.node}: {first.what}{more}", numbers
    )


def unknown_line(reason: str) -> tuple[int, str]:
    """For a command line that asks for nothing that can be checked."""
    return EXIT_CODES[Severity.UNKNOWN], _line("UNKNOWN", reason, "")


def _line(state: str, text: str, numbers: str) -> str:
    # The bar ends the text, and the first line is all that is read.
    text = printable(" ".join(text.replace("|", "/").split()))
    return f"REPLICAD {state}: {text}" + (f" | {numbers}" if numbers else "")


def _numbers(answers: Sequence[NodeAnswer], thresholds: Thresholds) -> Iterator[str]:
    for answer in answers:
        document = answer.document
        # What a directory holds is not what its node says now.
        if document is None or answer.is_directory:
            continue
        if document.get("role") == "primary":
            there, least = len(connected(document)), thresholds.replicas
            yield _number(f"{answer.name} replicas", there, "", f"{least}:;")
        elif (lag := lag_seconds(document)) is not None:
            yield _number(f"{answer.name} lag", lag, "s", _bounds(thresholds.lag_seconds))
        for row in document.get("replicas") or ():
            if (behind := row.get("lag_bytes")) is not None:
                label = f"{answer.name} {called(row)} lag"
                yield _number(label, behind, "B", _bounds(thresholds.lag_bytes))


def _bounds(threshold: Threshold) -> str:
    return ";".join(
        "" if each is None else f"{each:.10g}" for each in (threshold.warning, threshold.critical)
    )


def _number(label: str, value: float, unit: str, bounds: str) -> str:
    quoted = printable(label).replace("'", "''").replace("=", " ").replace("|", "/")
    return f"'{quoted}'={value:.10g}{unit};{bounds};0"

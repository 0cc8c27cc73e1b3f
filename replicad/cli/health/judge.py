"""All that is wrong with the nodes that were asked, the worst first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from replicad.cli.health.copies import copies_findings
from replicad.cli.health.data import clock_findings, store_findings, verification_findings
from replicad.cli.health.doors import doors_findings
from replicad.cli.health.finding import OPERATING, Document, Finding, Severity, Thresholds
from replicad.cli.health.links import links_findings
from replicad.cli.health.replicas import replicas_findings
from replicad.cli.health.role import link_findings, standing_findings
from replicad.cli.health.runbook import Runbook
from replicad.cli.nodes.ask import NodeAnswer
from replicad.errors import ReplyError, UnreachableError

_REFUSALS = frozenset({"NOAUTH", "NOPERM", "WRONGPASS"})


def find_all(answers: Sequence[NodeAnswer], thresholds: Thresholds) -> list[Finding]:
    """Sorted by severity; those of one severity in the order of the nodes."""
    documents = [answer.document for answer in answers if answer.document is not None]
    asked = {str(document.get("node_id")) for document in documents}

    found = list(_primaries(answers))
    for answer in answers:
        if answer.document is None:
            found.append(_silence(answer)._replace(node=answer.name))
        elif not answer.is_directory:
            rules = _rules(answer.name, answer.document, thresholds, asked)
            found += [finding._replace(node=answer.name) for finding in rules]
    return sorted(found, key=lambda finding: -finding.severity)


def _rules(node: str, document: Document, thresholds: Thresholds, asked: set[str]) -> Iterator[Finding]:
    yield from standing_findings(node, document)
    yield from store_findings(node, document)
    yield from verification_findings(node, document)
    yield from link_findings(node, document, thresholds)
    yield from replicas_findings(node, document, thresholds, asked=asked)
    yield from links_findings(node, document)
    yield from copies_findings(node, document, thresholds)
    yield from doors_findings(node, document)
    yield from clock_findings(document)


def _silence(answer: NodeAnswer) -> Finding:
    error = answer.error
    reason = str(error)
    if isinstance(error, UnreachableError):
        # Such an error begins with the address, in full.
        reason = reason.partition(": ")[2] or reason
        look = "does its daemon run? systemctl status 'replicad-*' there"
        return Finding(Severity.CRITICAL, f"cannot be reached: {reason}", look, Runbook.UNREACHABLE_NODE)
    refused = isinstance(error, ReplyError) and error.code in _REFUSALS
    remedy = "docs/security.md: --user and --password-file, before the verb" if refused else "replicad --help"
    what = f"does not say how it is: {reason}"
    return Finding(Severity.UNKNOWN, what, remedy, Runbook.REFUSED_STATUS)


def _primaries(answers: Sequence[NodeAnswer]) -> Iterator[Finding]:
    """Two nodes that take writes to one database; a clash that one of them knows of is reported anyway."""
    primaries: dict[str, dict[str, tuple[str, int]]] = {}
    for answer in answers:
        document = {} if answer.is_directory else answer.document or {}
        if document.get("role") == "primary" and document.get("database_id") is not None:
            # A node that was named twice is one.
            of_one = primaries.setdefault(document["database_id"], {})
            of_one.setdefault(str(document.get("node_id")), (answer.name, document.get("epoch") or 0))
    for of_one in primaries.values():
        if len(of_one) > 1:
            (last, epoch), *_ = older = sorted(of_one.values(), key=lambda each: each[1])
            others = ", ".join(name for name, _ in older[1:])
            yield Finding(
                Severity.CRITICAL,
                f"is a primary, and so is {others}, of the same database",
                f"stop {last} (epoch {epoch}) if its last writes can be lost, then replicad rejoin it "
                f"({OPERATING}, Changing the primary)",
                Runbook.TWO_PRIMARIES,
                node=last,
            )

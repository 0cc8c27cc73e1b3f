"""All that is wrong with the nodes that were asked, the worst first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from replicad.cli.health.copies import copies_findings
from replicad.cli.health.data import clock_findings, store_findings, verification_findings
from replicad.cli.health.delay import delay_findings
from replicad.cli.health.doors import doors_findings
from replicad.cli.health.failover import failover_findings
from replicad.cli.health.finding import OPERATING, Document, Finding, Severity, Thresholds
from replicad.cli.health.links import links_findings
from replicad.cli.health.replicas import replicas_findings
from replicad.cli.health.role import link_findings, standing_findings
from replicad.cli.health.runbook import Runbook
from replicad.cli.nodes.ask import NodeAnswer
from replicad.errors import DoorFault, ReplyError, UnreachableError, WrongDoorError

_REFUSALS = frozenset({"NOAUTH", "NOPERM", "WRONGPASS"})
_FULL = "ERR max number of clients reached"
_SIDES = "docs/security.md, What each side says"
_RAISE = "raise [clients] clients_max in its file, and systemctl reload its unit"
_ASK_APART = f"on its machine: replicad status unix:PATH, if listen_unix is set; else {_RAISE}"
"""What needs no connection of its client port, where none is free."""


def find_all(answers: Sequence[NodeAnswer], thresholds: Thresholds) -> list[Finding]:
    """Sorted by severity; those of one severity in the order of the nodes."""
    documents = [answer.document for answer in answers if answer.document is not None]
    asked = {str(document.get("node_id")) for document in documents}

    found = list(_primaries(answers))
    for answer in answers:
        if answer.document is None:
            found.append(_silence(answer)._replace(node=answer.name))
        elif answer.is_directory:
            found.append(_not_asked(answer.document)._replace(node=answer.name))
        else:
            rules = _rules(answer.name, answer.document, thresholds, asked)
            found += [finding._replace(node=answer.name) for finding in rules]
    return sorted(found, key=lambda finding: -finding.severity)


def _rules(node: str, document: Document, thresholds: Thresholds, asked: set[str]) -> Iterator[Finding]:
    yield from standing_findings(node, document)
    yield from store_findings(node, document)
    yield from verification_findings(node, document)
    yield from link_findings(node, document, thresholds)
    yield from delay_findings(node, document)
    yield from replicas_findings(node, document, thresholds, asked=asked)
    yield from links_findings(node, document)
    yield from failover_findings(node, document)
    yield from copies_findings(node, document, thresholds)
    yield from doors_findings(node, document)
    yield from clock_findings(document)


def _silence(answer: NodeAnswer) -> Finding:
    error = answer.error
    reason = str(error)
    if isinstance(error, UnreachableError):
        # Such an error begins with the address, in full.
        reason = reason.partition(": ")[2] or reason
        if isinstance(error, WrongDoorError):
            return _wrong_door(answer.name, reason, error.fault)
        look = "does its daemon run? systemctl status 'replicad-*' there"
        return Finding(Severity.CRITICAL, f"cannot be reached: {reason}", look, Runbook.UNREACHABLE_NODE)
    if reason == _FULL:
        remedy = _RAISE if answer.name.startswith("unix:") else _ASK_APART
        return Finding(Severity.CRITICAL, f"takes no more clients: {reason}", remedy, Runbook.CLIENTS_LIMIT)
    refused = isinstance(error, ReplyError) and error.code in _REFUSALS
    remedy = "docs/security.md: --user and --password-file, before the verb" if refused else "replicad --help"
    what = f"does not say how it is: {reason}"
    return Finding(Severity.UNKNOWN, what, remedy, Runbook.REFUSED_STATUS)


def _wrong_door(node: str, reason: str, fault: DoorFault) -> Finding:
    """Something runs there: whether it is well is not known, because it was asked in a wrong way."""
    what = f"cannot be asked: {reason}"
    match fault:
        case DoorFault.CERTIFICATE:
            remedy = (
                f"--ca FILE of its CA, --cert and --key, before the verb, or a new certificate ({_SIDES})"
            )
            return Finding(Severity.CRITICAL, what, remedy, Runbook.CERTIFICATE)
        case DoorFault.NO_TLS:
            remedy = f"leave --tls and --ca out, or name its client port ({_SIDES})"
        case DoorFault.OTHER_PORT:
            remedy = "name its client port, which is `listen` in its configuration, 6380 by default"
        case DoorFault.OTHER_PORT_OR_TLS:
            remedy = (
                f"is {node} its client port (`listen`)? If it speaks TLS: --tls --ca FILE, before the verb"
            )
    return Finding(Severity.UNKNOWN, what, remedy, Runbook.REFUSED_STATUS)


def _not_asked(document: Document) -> Finding:
    """Of a directory, which says what was, and not whether its node is well now."""
    if document.get("in_use"):
        what = "was not asked: this is what its files say, and a process uses them"
        return Finding(
            Severity.UNKNOWN, what, "replicad status HOST:PORT, its client port", Runbook.REFUSED_STATUS
        )
    what = "was not asked: its daemon does not run"
    look = "start it: systemctl start its unit; systemctl status 'replicad-*' says why it ended"
    return Finding(Severity.UNKNOWN, what, look, Runbook.UNREACHABLE_NODE)


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

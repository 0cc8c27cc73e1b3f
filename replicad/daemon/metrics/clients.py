"""The clients of the node: how many there are, what they ask, and what of it is refused."""

from __future__ import annotations

from replicad.daemon.metrics.metric import Document, Fields, Samples, counter, gauge

REFUSED = counter(
    "replicad_refused_input_total",
    "What came over a port and was refused, by kind: requests that are not RESP, connections beyond a limit, "
    "sessions of replicas by the code of the refusal, requests over HTTP.",
    "port",
    "kind",
)

FIELDS = Fields(
    {
        "connected": gauge("replicad_clients_connected", "Clients that are connected."),
        "connected_max": gauge("replicad_clients_limit", "How many clients may be connected."),
        "waiting_for_commit": gauge(
            "replicad_clients_waiting_for_commit", "Clients whose replies wait for a commit."
        ),
        "connections": counter("replicad_client_connections_total", "Connections that clients opened."),
        "closed_for_limits": counter(
            "replicad_clients_closed_total", "Clients that were closed because they took too much."
        ),
        "commands": counter("replicad_commands_total", "Commands that were executed."),
        "error_replies": counter("replicad_error_replies_total", "Replies that were errors."),
        "internal_errors": counter(
            "replicad_internal_errors_total", "Commands that failed by a bug of replicad's."
        ),
        "hits": counter("replicad_keyspace_hits_total", "Keys that GET and MGET found."),
        "misses": counter("replicad_keyspace_misses_total", "Keys that GET and MGET did not find."),
        "input_bytes": counter("replicad_client_received_bytes_total", "Bytes that came from clients."),
        "output_bytes": counter("replicad_client_sent_bytes_total", "Bytes that went to clients."),
        "commits": counter(
            "replicad_client_batches_total", "Batches of clients that were handed to the store."
        ),
        "groups": counter(
            "replicad_client_groups_total", "Groups of these batches: one write to the log each."
        ),
    }
)

METRICS = (*FIELDS.metrics, REFUSED)


def samples(document: Document) -> Samples:
    yield from FIELDS.samples(document.get("clients", {}))
    for port, kinds in document.get("refused_input", {}).items():
        for kind, count in kinds.items():
            yield REFUSED.of(count, port, kind)

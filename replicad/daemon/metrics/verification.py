"""Whether the node's data is what it should be, and when that was looked at."""

from __future__ import annotations

from replicad.daemon.metrics.metric import Document, Fields, Samples, counter, gauge

QUARANTINED = gauge("replicad_verification_quarantined_tables", "Damaged tables that are kept aside.")

FIELDS = Fields(
    {
        "sound": gauge(
            "replicad_verification_sound", "0 while the data is known to be damaged or to differ."
        ),
        "refuses_reads": gauge(
            "replicad_verification_refuses_reads", "1 while reads are refused because of that."
        ),
        "age_seconds": gauge(
            "replicad_verification_age_seconds",
            "How long ago a pass compared this replica's data with its primary's, if one did.",
        ),
        "sequence": gauge("replicad_verification_sequence", "At which sequence number it was compared."),
        "compared_bytes": gauge("replicad_verification_compared_bytes", "How much the last pass compared."),
        "pass_seconds": gauge("replicad_verification_duration_seconds", "How long the last pass took."),
        "pass_running": gauge("replicad_verification_running", "1 while a pass runs."),
        "repairs": counter(
            "replicad_verification_repairs_total", "How often the data was fetched again because of it."
        ),
    }
)

METRICS = (QUARANTINED, *FIELDS.metrics)


def samples(document: Document) -> Samples:
    found = document.get("verification", {})
    if found:
        yield QUARANTINED.of(len(found.get("quarantined", ())))
    yield from FIELDS.samples(found)

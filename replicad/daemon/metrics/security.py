"""Who may come in: certificates, handshakes and logins."""

from __future__ import annotations

from replicad.daemon.metrics.metric import Document, Fields, Samples, counter, gauge

CERTIFICATE = gauge(
    "replicad_certificate_expiry_timestamp_seconds", "When the certificate of the port ends.", "port"
)
FILES_REFUSED = gauge(
    "replicad_certificate_files_refused",
    "1 while the files of certificates or passwords do not fit, so that those from before stay in use.",
)
HANDSHAKES = counter(
    "replicad_tls_handshakes_refused_total", "Connections that did not come to speak TLS.", "port"
)
INSECURE = gauge("replicad_insecure", "1 where other machines may come in clear text and without users.")
FIELDS = Fields(
    {
        "refused_logins": counter("replicad_logins_refused_total", "Logins with a wrong secret."),
        "refused_commands": counter(
            "replicad_commands_not_permitted_total", "Commands that their user may not have executed."
        ),
    }
)
METRICS = (CERTIFICATE, FILES_REFUSED, HANDSHAKES, INSECURE, *FIELDS.metrics)


def samples(document: Document) -> Samples:
    yield INSECURE.of(bool(document.get("insecure")))
    tls = document.get("tls")
    if tls is not None:
        yield FILES_REFUSED.of(tls["refused"] is not None)
        for port, facts in tls["ports"].items():
            yield CERTIFICATE.of(facts["certificate_ends_at"], port)
            yield HANDSHAKES.of(facts["refused_handshakes"], port)
    yield from FIELDS.samples(document.get("users", {}))

"""`replicad certs`: a certificate authority of one's own, for nodes that speak TLS with each other."""

from __future__ import annotations

from replicad.cli.certificates.verbs import register

__all__ = ["register"]

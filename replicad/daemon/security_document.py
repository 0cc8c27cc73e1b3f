"""What the status document says of TLS and users."""

from __future__ import annotations

import time
from typing import Any

from replicad.net.doors import Doors
from replicad.server.access.login import Login

DAY_SECONDS = 86_400


def security_document(
    doors: Doors, login: Login, files_refused: str | None, *, insecure: bool
) -> dict[str, Any]:
    """`tls` is None where no port speaks it; `refused` says what is wrong with the files as they are now."""
    certificates = {door: door.contexts.certificate for door in doors.all if door.contexts is not None}
    tls = None
    if certificates:
        ends_at = min(certificate.ends_at for certificate in certificates.values())
        tls = {
            "certificate_ends_at": ends_at,
            "certificate_days_left": round((ends_at - time.time()) / DAY_SECONDS, 2),
            "refused": files_refused,
            "ports": {
                door.name: {
                    "certificate_ends_at": certificate.ends_at,
                    "certificate_names": sorted(certificate.names),
                    "refused_handshakes": door.refused_handshakes,
                }
                for door, certificate in certificates.items()
            },
        }
    users = {"refused_logins": login.refused_logins, "refused_commands": login.refused_commands}
    return {"insecure": insecure, "tls": tls, "users": users}

"""The steps of a switchover, as both sides reach them."""

from __future__ import annotations

from replicad.env.events import get_logger

log = get_logger("replicad.daemon")


def reached(step: str) -> None:
    """Logs the step. A process can be killed exactly there in tests, which is what this is for."""
    log.info("switchover.reached", step=step)

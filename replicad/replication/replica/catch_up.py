"""A replica whose log is gone at its primary first looks into a log archive, before it fetches a new copy.

    LOG_GONE ──> the archive goes on from here? ──yes──> its frames are applied ──> connect again: stream
                                │no                                                  (a few times at most)
                                └────────────────────> a new copy

Archived frames are the primary's own, so the store checks them as it checks streamed ones. Nothing beyond the
primary's position is taken: an archive may hold what the primary lost.
"""

from __future__ import annotations

from replicad.env import Clock
from replicad.env.events import get_logger
from replicad.env.reasons import reason_of
from replicad.errors import PoisonedError
from replicad.replication.intake import LogIntake
from replicad.replication.policy.agree import History
from replicad.replication.ports import LogArchive
from replicad.replication.tasks import Wakeup, in_thread

log = get_logger("replicad.replication")

CATCH_UPS_MAX = 3
"""So often in a row: a primary that lets its log go faster than this replica reads needs another way."""


async def catch_up(
    intake: LogIntake, archive: LogArchive, primary: History, clock: Clock, seconds_max: float
) -> bool:
    """Applies what the archive has after the replica's position; whether there was anything.

    A fault of the archive is logged and is not an error, since a copy can be fetched instead. A failed store
    is an error.
    """
    start, began = intake.position, clock.monotonic()
    wakeup = Wakeup()
    unsubscribe = intake.subscribe(wakeup.notify)

    try:
        frames = await in_thread(
            archive.frames_after, primary.database_id, primary.epochs, start, primary.position.sequence
        )
        try:
            # The time is bounded: after it the primary is asked whether its own log goes on from here.
            while clock.monotonic() - began < seconds_max:
                data = await in_thread(next, frames, None)
                if data is None:
                    break
                await _until_not_stalled(intake, wakeup)
                await intake.take(data)
        finally:
            await in_thread(frames.close)
    except Exception as error:
        # A store that failed ends the node. An archive that cannot be used only means that a copy is fetched.
        if intake.failed is not None:
            raise PoisonedError(f"the store stopped: {intake.failed}") from error
        log.warning("archive.unusable", position=str(intake.position), reason=reason_of(error))
    finally:
        unsubscribe()

    # What was applied before an error counts too: the primary is asked again from there.
    advanced = intake.position.sequence > start.sequence

    log.info(
        "archive.applied" if advanced else "archive.has_nothing",
        start=str(start),
        position=str(intake.position),
        seconds=round(clock.monotonic() - began, 3),
    )
    return advanced


async def _until_not_stalled(intake: LogIntake, wakeup: Wakeup) -> None:
    while intake.stalled and intake.failed is None:
        wakeup.clear()
        if intake.stalled and intake.failed is None:
            await wakeup.wait()

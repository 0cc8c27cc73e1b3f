"""What a primary does about its slots once a second: limits, lost time, records, and log events.

The store asks `Slots.enforce` at each rotation as well; here a session whose slot let go is found, and ended
before its log goes, and the store is told when a slot's advance lets log go that nobody else needs.
"""

from __future__ import annotations

from dataclasses import dataclass

from replicad.env import Env
from replicad.env.events import get_logger
from replicad.errors import StoreError
from replicad.replication.policy.slot_states import LogFacts, SlotState, log_bytes_after, state_of
from replicad.replication.ports import Records
from replicad.replication.primary.log_growth import LogGrowth
from replicad.replication.primary.slots import Slots
from replicad.state.records import Slot
from replicad.store.database import Database

log = get_logger("replicad.replication")

IDLE_STEP_SECONDS = 60
"""How finely the absence of replicas is counted: each step is a write to the node's state."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SlotView:
    """A slot as the status shows it."""

    slot: Slot
    state: SlotState
    retained_bytes: int
    safe_bytes: int | None
    """How much more log fits before it must let go; None when it already did."""
    exhausted_in_seconds: float | None
    """At the rate of the last minute; None when the log does not grow, or the slot holds nothing."""


class SlotUpkeep:
    """Owned by the event loop."""

    def __init__(self, env: Env, source: Database, slots: Slots, records: Records) -> None:
        self._env = env
        self._source = source
        self._slots = slots
        self._records = records
        self._idle_from = env.clock.monotonic()
        self._released: int | None = slots.oldest_needed()
        self.course = LogGrowth()

    def facts(self) -> LogFacts:
        """The current log."""
        source = self._source
        return LogFacts(
            files=source.get_sorted_wal_files(),
            newest=source.durable_sequence,
            flushed=source.flushed_sequence,
            short_bytes=max(0, -source.log_room_bytes),
        )

    def views(self) -> dict[bytes, SlotView]:
        log_facts, room = self.facts(), self._source.log_room_bytes
        rate = self.course.bytes_per_second(self._env.clock.monotonic())
        return {slot.node_id: self._view(slot, log_facts, room, rate) for slot in self._slots.all()}

    def _view(self, slot: Slot, facts: LogFacts, room: int, rate: float) -> SlotView:
        retained = log_bytes_after(facts.files, slot.sequence, facts.newest)
        safe = seconds = None
        if slot.invalid is None:
            safe = max(0, min(self._slots.limits.log_bytes_max - retained, room))
            seconds = safe / rate if rate > 0 else None
        return SlotView(
            slot=slot,
            state=state_of(slot, facts, self._source.log_kept_bytes),
            retained_bytes=retained,
            safe_bytes=safe,
            exhausted_in_seconds=seconds,
        )

    async def tick(self) -> list[tuple[bytes, str]]:
        """The node ids whose sessions must end now, each with the reason."""
        facts = self.facts()
        before = self.course.last_sequence
        grown = 0 if before is None else log_bytes_after(facts.files, before, facts.newest)
        self.course.note(self._env.clock.monotonic(), facts.newest, grown)

        self._pass_time()
        self._slots.readmit(facts)
        self._slots.enforce(facts.files, facts.newest, facts.flushed, facts.short_bytes)

        for slot in self._slots.unreported():
            log.warning(
                "slot.let_go",
                node=slot.node_id.hex(),
                name=slot.name,
                sequence=slot.sequence,
                reason=slot.invalid,
            )

        # What is not saved is saved by a later tick. A slot that is behind on disk keeps more log, never
        # less.
        try:
            await self._save()
        except StoreError as error:
            log.warning("state.not_saved", reason=str(error))

        self.release()
        return self._slots.to_end()

    async def _save(self) -> None:
        for node_id, changed in self._slots.unsaved():
            if changed is None:
                await self._records.remove_slot(node_id)
            else:
                await self._records.put_slot(changed)
            self._slots.saved(node_id, changed)

    def release(self) -> None:
        """Tells the store when the slots need less log than before: on an idle primary nothing else does."""
        needed = self._slots.oldest_needed()
        if needed != self._released:
            self._released = needed
            self._source.review_retention()

    def _pass_time(self) -> None:
        steps = int(self._env.clock.monotonic() - self._idle_from) // IDLE_STEP_SECONDS
        if steps:
            self._idle_from += steps * IDLE_STEP_SECONDS
            self._slots.pass_time(steps * IDLE_STEP_SECONDS)

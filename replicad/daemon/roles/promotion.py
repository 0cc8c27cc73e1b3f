"""Promotion: a replica becomes the primary.

    ask all nodes       refuse what would lose acknowledged writes (`may_promote`)
    end the link        from here on nobody but this node writes into the store
    what waits          is applied; what a pause holds is saved in discarded/, if that was forced
    PROMOTING           clients are refused, as by a replica
    begin the epoch     the manifest says "takes writes, in epoch e"            <- the one moment that decides
                        the first frame of epoch e is durable in the log
    PRIMARY             writes are taken
    record              "a primary"

A death before the manifest is written leaves the replica that was there before. A death after it leaves a
primary, although the record still says replica: the store is of a later epoch than the record, and that wins
(`at_start`). Opening the store finishes what the log lacks (`store.roles`). Belongs to the event loop.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from replicad.daemon.data.node_data import NodeData
from replicad.daemon.open_store import OpenStore
from replicad.daemon.own_standing import OwnStanding
from replicad.daemon.process.notify import notify
from replicad.daemon.roles.change_lock import ChangeLock
from replicad.daemon.roles.node_link import NodeLink
from replicad.daemon.roles.peer_survey import PeerSurvey
from replicad.daemon.roles.peers import Peers
from replicad.daemon.roles.role_memory import RoleMemory
from replicad.env import Env
from replicad.env.events import get_logger
from replicad.errors import CorruptionError, ReplicadError, RoleRefused
from replicad.replication.policy.apply_delay import AtPromotion, PausePoint, at_promotion
from replicad.replication.policy.epoch_numbers import own_epoch
from replicad.replication.policy.roles import Candidate, HighWatermark, Standing, may_promote, own_refusal
from replicad.replication.tasks import in_thread
from replicad.replication.wire.identify import Identity
from replicad.store.copies.saved_log import SavedLog

log = get_logger("replicad.daemon")

EPOCHS_WARN = 1000
STEP = 16
"""A promotion leaves numbers free above the epoch that it ends. The former primary may begin one by itself
after a loss of power (`lost_tail`), and whatever that one does, the promoted node has the higher epoch."""
FORGOTTEN_BY_A_PRIMARY = (
    *("primary", "configured", "fenced_by", "granted_epoch"),
    *("primary_sequence", "primary_epoch", "primary_node"),
)
"""The fields of the role record that describe another primary."""


class Promotion:
    def __init__(
        self,
        env: Env,
        identity: Identity,
        *,
        standing: OwnStanding,
        store: OpenStore,
        memory: RoleMemory,
        peers: Peers,
        link: NodeLink,
        survey: PeerSurvey,
        lock: ChangeLock,
        data: NodeData,
    ) -> None:
        self._env = env
        self._identity = identity
        self._peers = peers
        self._data = data
        self._standing = standing
        self._store = store
        self._memory = memory
        self._link = link
        self._survey = survey
        self._lock = lock

    async def promote(self, *, force: bool) -> str:
        """See the server's `Node.promote`."""
        return await self._lock.run(partial(self._promote, force))

    async def _promote(self, force: bool) -> str:
        memory, link = self._memory, self._link

        # This node knows itself that another one has taken, or may have taken, writes in a later epoch.
        given_to = None if memory.granted_epoch is None else str(memory.primary)
        refusal = own_refusal(
            self._standing.current, fenced_by=memory.fenced_by, given_to=given_to, force=force
        )
        if refusal is not None:
            raise RoleRefused(refusal)

        # What the other nodes know. This node's own state is read after their answers came: it may have
        # moved on meanwhile.
        began = self._env.clock.monotonic()
        survey = await self._survey.before_promotion()
        store, apply, follower = self._store.database, self._store.apply, link.follower
        if store is not None and store.role == "owner":
            raise RoleRefused("this node is stepping down; ask again")
        busy = follower is not None and follower.link.state.changes_data

        # Nobody orders or ends a pause while this change holds the lock; who began before has ended then.
        if apply is not None:
            await apply.settled()
        pause = self._data.delay.pause
        then, refusal = at_promotion(pause, force=force)
        if refusal is not None:
            raise RoleRefused(refusal)
        position = None if apply is None else apply.position
        # What was received was acknowledged, also where the last record of the primary's mark is older.
        mark = link.highest_watermark
        if position is not None:
            here = HighWatermark(position.epoch, position.sequence)
            mark = here if mark is None else max(mark, here)
        candidate = Candidate(position, mark, survey, busy)
        refusal, lost = may_promote(candidate, force=force)
        if refusal is not None:
            raise RoleRefused(refusal)

        # Above every epoch that this node or another has heard of, and one that no other node of the cluster
        # takes: two nodes that began the same epoch would both believe that they are right.
        await link.stop()
        received_epoch = 0 if apply is None else apply.position.epoch
        saved = await self._finish_waiting(then, pause, force=force)
        if store is not None and position is not None and store.position.sequence < position.sequence:
            # Now it is known what is given up: what the pause held, and what was damaged.
            _, lost = may_promote(replace(candidate, position=store.position), force=True)
            lost = f"{lost or 'what the pause held'}" + (
                f"; saved in {saved.files[0].parent}" if saved else ""
            )
            lost += f"; damaged was {apply.cut}" if apply is not None and apply.cut is not None else ""
        newest = max(self._store.epoch, received_epoch)
        above = (memory.least_epoch, survey.given_epoch + 1, survey.epoch + 1, newest + STEP)
        others = [peer.node_id for peer in self._peers]
        await self.begin_epoch(own_epoch(max(above), self._identity.node, others))
        log.info("role.promotion_done", seconds=round(self._env.clock.monotonic() - began, 4))
        if lost:
            log.error("role.promoted_with_loss", lost=lost)
        return "" if lost is None else f"lost: {lost}"

    async def finish_waiting(self, *, force: bool) -> str:
        """Of a candidate whose link has ended: what it received is applied. What is given up, in words.
        Raises RoleRefused."""
        apply = self._store.apply
        if apply is None:
            raise RoleRefused("this node has no data of its own to serve")
        await apply.settled()
        pause = self._data.delay.pause
        then, refusal = at_promotion(pause, force=force)
        if refusal is not None:
            raise RoleRefused(refusal)
        saved = await self._finish_waiting(then, pause, force=force)
        return "" if saved is None else f"what the pause held; saved in {saved.files[0].parent}"

    async def _finish_waiting(
        self, then: AtPromotion, pause: PausePoint | None, *, force: bool
    ) -> SavedLog | None:
        """Applies what waits, and saves what is to be discarded. Raises RoleRefused: then the node follows
        again, and what was not applied still waits."""
        apply, store = self._store.apply, self._store.database
        assert apply is not None and store is not None
        try:
            if apply.is_waiting:
                log.info("role.applies_what_waits", then=then.value, received=str(apply.position))
            cuts, received = apply.cuts, apply.position
            await apply.apply_through(pause)
            if apply.cuts != cuts and not force:
                raise CorruptionError(
                    f"it was damaged after {apply.position}, and reached {received}; --force gives that up"
                )
            saved = await self._data.save_after(store.position) if apply.is_waiting else []
            return saved[0] if saved else None
        except (ReplicadError, OSError) as error:
            if store.failed is None:
                self._link.start_again()
            raise RoleRefused(f"what waits to be applied cannot be: {error}") from error

    async def _forget_waiting(self) -> None:
        """The epoch has begun: what was saved is removed. A failure leaves that to the next start."""
        try:
            await self._data.delay.forget()
        except (ReplicadError, OSError) as error:
            log.warning("delay.not_forgotten", reason=str(error))

    async def begin_epoch(self, at_least: int) -> None:
        """Takes writes when it returns. The link has ended. Raises RoleRefused if nothing has changed."""
        store = self._store.database
        assert store is not None

        # A store that failed meanwhile ends the node, so its link is not started again.
        self._standing.move(Standing.PROMOTING)
        try:
            record = await in_thread(store.promote, self._env.random.bytes(16), at_least=at_least)
        except ReplicadError as error:
            self._standing.move(Standing.FOLLOWING)
            if store.failed is None:
                self._link.start_again()
            raise RoleRefused(f"nothing has changed: {error}") from error

        # The epoch is durable, so writes are taken at once; the record only repeats it.
        self._link.forget()
        self._standing.move(Standing.PRIMARY)
        log.warning("role.promoted", epoch=record.epoch, fork=str(record.fork))
        if len(store.epochs) >= EPOCHS_WARN:
            # Each one stays in the manifest for good, and every change of role writes all of them.
            log.warning("role.many_epochs", epochs=len(store.epochs))
        notify(f"STATUS=primary at {store.durable_position}")
        # The sooner the former primary hears of this epoch, the fewer writes it takes that will be discarded.
        self._survey.ask_soon()
        nothing = dict.fromkeys(FORGOTTEN_BY_A_PRIMARY)
        await self._memory.save(self._store.epoch, role="primary", **nothing)
        await self._forget_waiting()

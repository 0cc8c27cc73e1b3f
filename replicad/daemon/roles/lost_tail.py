"""A primary that may have lost log which replicas have (`replication.policy.lost_tail`): its way back.

    start      record: the search has begun                          durable
               the store opens as a replica's: nothing numbers writes, replicas are told to come again
    DOUBTING   the known nodes are asked; a higher epoch fences this node
               one has more of the same epoch: it gives that back, and all are asked again
               nobody has: a new epoch begins after what is here     durable
    PRIMARY    writes are taken; a replica that is further saves its tail and rewinds

A death before the epoch is durable leaves the search that was there before. Belongs to the event loop.
"""

from __future__ import annotations

from replicad.daemon.open_store import OpenStore
from replicad.daemon.own_standing import OwnStanding
from replicad.daemon.roles.change_lock import ChangeLock
from replicad.daemon.roles.node_link import NodeLink
from replicad.daemon.roles.peer_survey import PeerSurvey
from replicad.daemon.roles.role_memory import RoleMemory
from replicad.env import Env
from replicad.env.events import get_logger
from replicad.env.reasons import reason_of
from replicad.errors import ReplicadError
from replicad.net.addresses import Address
from replicad.net.doors import Door
from replicad.replication.options import ReplicationOptions
from replicad.replication.policy.lost_tail import SEARCH, furthest
from replicad.replication.policy.roles import Standing
from replicad.replication.replica.take_back import take_back
from replicad.replication.tasks import in_thread
from replicad.replication.wire.connection import dial
from replicad.replication.wire.identify import Identity
from replicad.replication.wire.introduction import view_of
from replicad.store.database import Database

log = get_logger("replicad.daemon")


class LostTail:
    def __init__(
        self,
        env: Env,
        identity: Identity,
        options: ReplicationOptions,
        *,
        standing: OwnStanding,
        store: OpenStore,
        memory: RoleMemory,
        link: NodeLink,
        survey: PeerSurvey,
        lock: ChangeLock,
        door: Door,
    ) -> None:
        self._env = env
        self._identity = identity
        self._options = options
        self._standing = standing
        self._store = store
        self._memory = memory
        self._link = link
        self._survey = survey
        self._lock = lock
        self._door = door
        self.is_sought = False
        """The store is a replica's meanwhile, whatever the node's role is. It ends with the doubt: in a new
        epoch, or in a fence."""
        standing.subscribe(self._role_changed)
        self._gave_nothing: set[Address] = set()

    async def begin(self, epoch: int) -> None:
        """Before the store is opened."""
        await self._memory.save(epoch, ahead_epoch=epoch, ahead_boot=SEARCH)
        self.is_sought = True

    async def go_on(self) -> None:
        """The node was told by others, or by nobody, that it may be the primary: it is one when this returns,
        unless it was fenced or has to ask once more."""
        if not self.is_sought:
            self._standing.move(Standing.PRIMARY)
            return
        await self._lock.run_in_turn(self._seek)

    def _role_changed(self) -> None:
        if self._standing.current is not Standing.DOUBTING:
            self.is_sought = False

    async def _seek(self) -> None:
        store, survey = self._store.database, self._survey
        if store is None or self._standing.current is not Standing.DOUBTING:
            return

        asked = {where: each for where, each in (await survey.ask_transitively()).items() if each is not None}
        for answer in asked.values():
            survey.heard(answer, asked=True)
        if self._standing.current is not Standing.DOUBTING:
            return

        views = {where: view_of(answer) for where, answer in asked.items()}
        where = furthest(survey.view(), views, self._gave_nothing)
        if where is None:
            await self._begin_epoch(store, len(asked))
        else:
            await self._take_back(store, where)

    async def _take_back(self, store: Database, where: Address) -> None:
        before = store.position
        try:
            await take_back(
                self._env,
                self._identity,
                self._link.whereabouts(),
                store,
                lambda: dial(*where, self._door),
                self._options,
            )
        except (ReplicadError, OSError) as error:
            if store.failed is not None:
                raise
            log.warning("role.tail_not_given_back", by=str(where), reason=reason_of(error))
            self._gave_nothing.add(where)
        if store.position != before:
            log.warning("role.tail_given_back", by=str(where), before=str(before), now=str(store.position))

    async def _begin_epoch(self, store: Database, answers: int) -> None:
        memory = self._memory
        try:
            epoch_id = self._env.random.bytes(16)
            record = await in_thread(store.promote, epoch_id, at_least=memory.least_epoch)
        except ReplicadError as error:
            if store.failed is None:  # The nodes are asked again, and then this is tried again.
                log.error("role.not_saved", reason=str(error))
            return
        log.warning("role.epoch_after_loss", epoch=record.epoch, fork=str(record.fork), answers=answers)

        # It may have been fenced meanwhile: then the change that follows from that comes next.
        if self._standing.current is Standing.DOUBTING:
            self._standing.move(Standing.PRIMARY)
            self._survey.ask_soon()
            await memory.save(self._store.epoch, role="primary")

"""Makes what serves replicas from a store, out of the parts of this node. Belongs to the event loop."""

from __future__ import annotations

from pathlib import Path

from replicad.daemon.data.verification import DataVerification
from replicad.daemon.own_standing import OwnStanding
from replicad.daemon.records import NodeRecords
from replicad.daemon.roles.fencing import Fencing
from replicad.daemon.roles.node_link import NodeLink
from replicad.daemon.roles.pause_detector import PauseDetector
from replicad.daemon.roles.peer_survey import PeerSurvey
from replicad.daemon.roles.peers import Peers
from replicad.daemon.roles.sent_ahead import SentAheadRecord
from replicad.env import Env
from replicad.replication.options import ReplicationOptions
from replicad.replication.policy.roles import Standing
from replicad.replication.primary.durable_age import DurableAge
from replicad.replication.primary.node import PrimaryNode
from replicad.replication.primary.slots import Slots
from replicad.replication.traffic import Traffic
from replicad.replication.wire.identify import Identity
from replicad.store.copies.checkpoint import list_files
from replicad.store.database import Database


class FeedFactory:
    def __init__(
        self,
        env: Env,
        identity: Identity,
        records: NodeRecords,
        data: Path,
        options: ReplicationOptions,
        *,
        standing: OwnStanding,
        verification: DataVerification,
        peers: Peers,
        link: NodeLink,
        survey: PeerSurvey,
        pauses: PauseDetector,
        fencing: Fencing,
        ahead: SentAheadRecord,
        traffic: Traffic,
    ) -> None:
        self._env = env
        self._identity = identity
        self._records = records
        self._data = data
        self._options = options
        self._standing = standing
        self._verification = verification
        self._peers = peers
        self._link = link
        self._survey = survey
        self._pauses = pauses
        self._fencing = fencing
        self._ahead = ahead
        self._traffic = traffic

    def reconfigure(self, options: ReplicationOptions) -> None:
        """For the feeds that are made from now on."""
        self._options = options

    def make(self, store: Database, slots: Slots) -> PrimaryNode:
        age = DurableAge(self._env.clock, store)

        # The feed lives as long as the store, through links and roles. So it gets callables, not values.
        feed = PrimaryNode(
            self._env,
            self._identity,
            store,
            slots,
            self._records,
            self._data,
            lambda directory: list_files(self._env.fs, directory),
            self._options,
            whereabouts=self._link.whereabouts,
            on_replica=lambda hello: self._peers.remember(hello.node, hello.replication, hello.clients),
            nodes=self._peers.entries,
            on_higher_epoch=self._fencing.fence,
            may_be_behind=self._survey.may_be_behind,
            age_seconds=lambda written: self._age_seconds(age, written=written),
            ahead=self._ahead,
            traffic=self._traffic,
        )

        feed.answering = self._verification.answering
        return feed

    def _age_seconds(self, age: DurableAge, *, written: bool) -> float | None:
        """How long ago the primary surely had nothing that is not durable here, or not written; None: not
        known."""
        # A primary that stood still may not be the primary any more, and cannot say so of itself.
        self._pauses.check()
        follower = self._link.follower
        if self._standing.current is Standing.PRIMARY or self._standing.current is Standing.PAUSED:
            return 0.0 if written else age.seconds()
        if follower is None:
            return None
        return follower.ages.staleness_seconds if written else follower.ages.durable_age_seconds

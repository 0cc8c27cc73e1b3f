"""How old and how far behind a replica's data is at this moment: what reads, the status and the replicas of
this replica go by.
"""

from __future__ import annotations

from replicad.env import Clock
from replicad.replication.options import ReplicationOptions
from replicad.replication.ports import ReplicaData
from replicad.replication.replica.freshness import Freshness, lag_sequences, why_refused, why_stale
from replicad.replication.replica.link_state import Link


class Ages:
    """Belongs to the event loop. An age is None when it is not known: always without data, and before the
    primary was heard of."""

    def __init__(self, clock: Clock, data: ReplicaData, link: Link, options: ReplicationOptions) -> None:
        self._clock = clock
        self._data = data
        self._link = link
        self.options = options
        """They say when reads are refused."""
        self.freshness = Freshness()

    @property
    def staleness_seconds(self) -> float | None:
        """How long ago what readers see here surely was all that there was."""
        store = self._data.store
        if store is None:
            return None
        return self.freshness.staleness_seconds(store.latest_sequence, self._clock.awake())

    @property
    def durable_age_seconds(self) -> float | None:
        """The same of what is durable here."""
        store = self._data.store
        if store is None:
            return None
        return self.freshness.staleness_seconds(store.durable_sequence, self._clock.awake())

    @property
    def newest_age_seconds(self) -> float | None:
        """How old what is known of the primary's newest is."""
        return self.freshness.newest_age_seconds(self._clock.awake())

    @property
    def lag_sequences(self) -> int | None:
        """How far it is behind the primary of all."""
        store, link = self._data.store, self._link
        if store is None:
            return None
        return lag_sequences(
            store.latest_sequence, link.primary_sequence, self.newest_age_seconds, link.heartbeat_seconds
        )

    @property
    def lag_seconds(self) -> float | None:
        """How long it has been missing something that it knows of; how old its data may be when it does not
        know how far it is behind."""
        store = self._data.store
        if store is None:
            return None
        lag = self.freshness.lag_seconds(store.latest_sequence, self._clock.awake())
        if self.lag_sequences is not None or lag is None or self.staleness_seconds is None:
            return lag
        return max(lag, self.staleness_seconds)

    @property
    def received_lag_seconds(self) -> float | None:
        """How long it has been without something that it knows of, applied or not."""
        intake = self._data.intake
        if intake is None:
            return None
        return self.freshness.lag_seconds(intake.position.sequence, self._clock.awake())

    @property
    def reads_refused(self) -> str | None:
        """The error that reads get, by configuration, while the data is old."""
        options = self.options
        if options.stale_reads == "serve" and not options.max_staleness_seconds:
            return None
        return why_refused(self._link.state, self.staleness_seconds, options)

    @property
    def stale_because(self) -> str | None:
        """Why what is here is older than it should be, as far as is known; None also without data."""
        if self._data.store is None:
            return None
        return why_stale(self._link.state, self.staleness_seconds, self.options)

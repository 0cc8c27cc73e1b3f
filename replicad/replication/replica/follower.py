"""The replica's side of replication: connects, agrees, streams or bootstraps, and begins again after any end.

Its states and the moves between them are in `link_state.py`.

Whatever the primary proposes, this side lets nothing replace its data unless `may_bootstrap` says so. An
exchange of the data that has begun is done to its end, also when the session or `run` ends meanwhile, and a
session begins with the store open if there is data. A failed store is not an error of the link: it ends
`run`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

from replicad.env import Env
from replicad.env.events import bind, get_logger
from replicad.env.reasons import reason_of
from replicad.errors import (
    LinkStoppedError,
    PeerTimeoutError,
    PoisonedError,
    ProtocolError,
    ReplicadError,
    SessionRefusedError,
    WaitingLogFullError,
)
from replicad.replication.backoff import backoff_seconds
from replicad.replication.copy.fetch import Fetcher
from replicad.replication.intake import LogIntake, until_room
from replicad.replication.options import ReplicationOptions
from replicad.replication.policy.agree import Code, History, Outcome, may_bootstrap, may_start_over
from replicad.replication.policy.repair import may_repair
from replicad.replication.policy.roles import HighWatermark, closes_loop
from replicad.replication.ports import Dial, LogArchive, ReplicaData
from replicad.replication.replica.ages import Ages
from replicad.replication.replica.catch_up import CATCH_UPS_MAX, catch_up
from replicad.replication.replica.endings import code_of, needs_a_person, stopping_error
from replicad.replication.replica.freshness import fresh_at
from replicad.replication.replica.link_state import Link, LinkState, is_progress
from replicad.replication.replica.receiver import NO_DELAYS, Receiver
from replicad.replication.replica.restoring import RestoreFirst
from replicad.replication.tasks import beside, to_its_end
from replicad.replication.traffic import Traffic
from replicad.replication.verify.upstream import Upstream
from replicad.replication.wire.connection import Connection
from replicad.replication.wire.framing import PAYLOAD_BYTES_MAX
from replicad.replication.wire.identify import (
    DELAYED,
    FEATURES,
    WRITTEN,
    Identity,
    Whereabouts,
    check_welcome,
    hello_from,
)
from replicad.replication.wire.keepalive import keep_alive
from replicad.replication.wire.messages import (
    Decided,
    Heartbeat,
    Installed,
    Nodes,
    PositionClaim,
    Refuse,
    Welcome,
    newest_epochs,
)
from replicad.state.records import BootstrapProgress
from replicad.types import Epoch, HistoryHash, Position, Sequence

log = get_logger("replicad.replication")

NOWHERE = Position(Epoch(0), Sequence(0), HistoryHash(0))
"""What a replica without data says in its heartbeats."""


class Follower:
    """Follows one primary. Everything here belongs to the event loop."""

    def __init__(
        self,
        env: Env,
        identity: Identity,
        data: ReplicaData,
        data_dir: Path,
        dial: Dial,
        options: ReplicationOptions,
        on_change: Callable[[], None],
        *,
        whereabouts: Callable[[], Whereabouts] = Whereabouts,
        on_welcome: Callable[[Welcome], None] = lambda welcome: None,
        on_nodes: Callable[[Nodes], None] = lambda nodes: None,
        archive: LogArchive | None = None,
        restore: RestoreFirst | None = None,
        on_repair_refused: Callable[[], None] = lambda: None,
        discard: bool = False,
        traffic: Traffic | None = None,
    ) -> None:
        """`on_change` is called after the link's state or the bootstrap's progress changed; `on_welcome` when
        somebody was found to follow, `on_repair_refused` when a repair is given up, `on_nodes` when that one
        says which other nodes there are; `archive` is looked into before a new copy is fetched; `restore` is
        what a replica without data begins with. With `discard` all data that is here is replaced by a copy
        first."""
        self._restore_first = restore
        self._discard = discard
        self._traffic = traffic or Traffic()
        self._archive = archive
        self._catch_ups = 0
        self._whereabouts = whereabouts
        self._on_welcome = on_welcome
        self._on_nodes = on_nodes
        self._on_repair_refused = on_repair_refused
        self._start_over = False

        self._env = env
        self._identity = identity
        self._data = data
        self._data_dir = data_dir
        self._dial = dial
        self._options = options
        self._on_change = on_change
        self._features = tuple(each for each in FEATURES if each != WRITTEN or options.ship == "written")

        self.link = Link(options.heartbeat_seconds, since=env.clock.monotonic())
        self.ages = Ages(env.clock, data, self.link, options)
        self._asked_at = 0.0
        """When the session's HELLO went out; the clocks of freshness go on while the machine sleeps."""

        self.upstream = Upstream()
        self._repair: str | None = None
        self._sessions = 0
        self._down_because: str | None = None
        """What the log says already of the link, since it last made progress."""
        self._streams_from = 0
        """The sequence number at which the stream that runs now began."""
        self._connection: Connection | None = None

        self.progress: BootstrapProgress | None = None
        self.progress_started_at = 0.0
        self.progress_started_bytes = 0
        self._activity: Receiver | Fetcher | RestoreFirst | None = None

    @property
    def receiver(self) -> Receiver | None:
        """The stream that runs now."""
        return self._activity if isinstance(self._activity, Receiver) else None

    @property
    def fetcher(self) -> Fetcher | None:
        """The bootstrap that runs now."""
        return self._activity if isinstance(self._activity, Fetcher) else None

    @property
    def restoring(self) -> RestoreFirst | None:
        """The restore of a backup that runs now."""
        return self._activity if isinstance(self._activity, RestoreFirst) else None

    @property
    def waits_for(self) -> str:
        """What the replica waits for at this moment, in words."""
        if self._activity is not None and self._activity.waits_for:
            return self._activity.waits_for
        return self.link.waits_for

    def reconfigure(self, options: ReplicationOptions) -> None:
        """Takes over when reads are refused."""
        self._options = self.ages.options = options

    async def run(self) -> None:
        """Runs until it is cancelled or the store failed."""
        while True:
            try:
                await self._session()
                delay, is_full = 0.0, False
            except PoisonedError:
                raise
            except (ReplicadError, OSError) as error:
                failed = None if self._data.store is None else self._data.store.failed
                if failed is not None:
                    raise PoisonedError(f"the store stopped: {failed}") from error
                delay = self._session_ended(error)
                is_full = isinstance(error, WaitingLogFullError)
            finally:
                self._activity = None
            if is_full and self._data.intake is not None:
                await until_room(self._data.intake)
            await asyncio.sleep(delay)

    def fetch_again(self, reason: str) -> bool:
        """Has the next session fetch all data again, because what is here is not to be trusted.

        Ends the current session; returns whether that is new. The old data stays until the copy is verified,
        and for good when the primary's is older.
        """
        if self._repair is not None:
            return False
        self._repair = reason
        if self._connection is not None:
            self._connection.close()
        return True

    def end_fetch(self) -> None:
        """A copy that is being fetched may not be put in place any more: the next session says why."""
        if self.fetcher is not None and self._connection is not None:
            self._connection.close()

    def _give_repair_up(self) -> None:
        if self._repair is not None:
            self._repair = None
            self._on_repair_refused()

    def ended(self) -> None:
        """`run` was cancelled for good: what the node shows last says so."""
        self._set(LinkState.DOWN, "the daemon to be started")

    def _session_ended(self, error: ReplicadError | OSError) -> float:
        """Takes note of why a session ended; how long to wait before the next."""
        text = reason_of(error)
        self.link.last_error = text
        # The same reason again and again would hide what happened before it; the status goes on showing it.
        is_new, self._down_because = text != self._down_because, text

        # Time does not mend these: the reason stays shown, and the primary is asked again rarely.
        if needs_a_person(error):
            delay = self._options.stopped_retry_seconds
            self.link.stopped_code = code_of(error)
            if is_new:
                log.error("replication.stopped", code=self.link.stopped_code, reason=text)
            self._set(LinkState.STOPPED, f"the operator: {text}")
        else:
            self.link.attempts += 1
            delay = backoff_seconds(self.link.attempts, self._options, self._env.random)
            if is_new:
                log.warning("replication.link_down", reason=text, retry_seconds=round(delay, 3))
            waits_for = f"the next attempt, {delay:.1f} s after: {text}"
            if isinstance(error, WaitingLogFullError):
                waits_for = f"room for more log: {text}"
            self._set(LinkState.WAITING, waits_for)
        return delay

    async def _session(self) -> None:
        self._sessions += 1
        bind(session=self._sessions, copy=None)

        # An exchange of the data that failed may have left the store closed. The session must claim the data
        # that is here, not that there is none.
        await to_its_end(self._data.resume())

        # A stopped link is shown as stopped while it asks again.
        if self.link.state is not LinkState.STOPPED:
            self._set(LinkState.CONNECTING, "the primary to accept the connection")

        try:
            async with asyncio.timeout(self._options.connect_seconds):
                connection = await self._dial()
        except TimeoutError:
            raise PeerTimeoutError("the primary did not accept the connection in time") from None

        self._connection = connection
        try:
            welcome = await self._identify(connection)
            restore = self._restore_first
            if restore is not None and restore.is_due and self._data.store is None:
                connection.close()
                await self._restore(restore, welcome)
                return

            await beside(
                self._agree(connection, welcome),
                keep_alive(
                    connection,
                    self._beat,
                    heartbeat_seconds=self.link.heartbeat_seconds,
                    idle_seconds=self._options.idle_seconds,
                    send_seconds=self._options.send_seconds,
                ),
            )
        finally:
            self._connection = None
            connection.close()

    async def _identify(self, connection: Connection) -> Welcome:
        store = self._data.store
        database = None if store is None else store.database_id
        me = self._identity

        # Taken before HELLO goes out: the age of what this session says is counted from here until a
        # heartbeat echoes a later time.
        self._asked_at = self._env.clock.awake()

        connection.send(hello_from(me, self._whereabouts(), database, self._features))

        try:
            async with asyncio.timeout(self._options.handshake_seconds):
                welcome = check_welcome(await connection.receive(), me)
        except TimeoutError:
            text = "the primary did not answer HELLO in time: is that its replication address?"
            raise PeerTimeoutError(text) from None

        if self.link.state is not LinkState.STOPPED:
            self._set(LinkState.AGREEING, "the primary to compare the histories")

        # Any node feeds replicas. Nodes that follow each other in a loop would never hear a primary.
        if (loop := closes_loop(me.node, welcome.node, welcome.path)) is not None:
            raise SessionRefusedError("loop", f"following this node would close a loop: {loop}", False)

        # Both sides send at the primary's interval. Zero would make `keep_alive` send without a pause.
        self.link.heartbeat_seconds = welcome.heartbeat_ms / 1000 or self._options.heartbeat_seconds
        self.link.primary_sequence = welcome.position.sequence
        self.link.primary_node = welcome.node

        self._on_welcome(welcome)
        return welcome

    async def _agree(self, connection: Connection, welcome: Welcome) -> None:
        # Payloads are accepted only now that the peer has identified itself: a stranger must not make this
        # node hold one.
        connection.allow_payloads(PAYLOAD_BYTES_MAX)

        store, intake = self._data.store, self._data.intake
        mine = None
        if store is not None and intake is not None:
            # A session that could take nothing would only be in the way of the next one.
            if intake.refusal is not None:
                raise WaitingLogFullError(intake.refusal)
            if intake.delays and DELAYED not in welcome.features:
                raise SessionRefusedError("no-delays", NO_DELAYS, False)
            mine = History(store.database_id, intake.position, intake.epochs)

        # A replica that wants a copy claims that it has no data: its tail is saved and cannot be cut
        # (`_start_over`), its operator gave the data up (`_discard`), or the data cannot be trusted
        # (`_repair`).
        claimed = None if self._start_over or self._discard or self._repair is not None else mine
        connection.send(
            PositionClaim(
                None if claimed is None else claimed.position,
                0 if intake is None else intake.durable_position.sequence,
                () if claimed is None else newest_epochs(claimed.epochs),
                intake.applied_sequence if intake is not None and intake.delays else None,
            )
        )

        decided, heartbeat = await self._receive_decision(connection)
        if decided.outcome == Outcome.STREAM.value:
            if store is None or intake is None or claimed is None or store.database_id != welcome.database:
                raise ProtocolError("the primary streams another database than this replica has")

            # A promotion refuses to lose what is below this mark, so it counts only once the histories agree.
            # The same is true of the heartbeat that came before the decision.
            self.link.high_watermark = HighWatermark(welcome.position.epoch, welcome.position.sequence)
            self.ages.freshness.follow(decided.position.epoch)
            if heartbeat is not None:
                self._heard_of_primary(heartbeat.position.sequence, heartbeat)

            await self._stream(connection, intake, welcome)
        elif decided.outcome == Outcome.BOOTSTRAP.value:
            await self._copy_proposed(connection, decided, welcome, mine=mine, claimed=claimed)
        elif decided.outcome == Outcome.REWIND.value and decided.fork is not None and claimed is not None:
            # Both sides close after `rewind`. The next session agrees from the fork on, or claims to have no
            # data when the tables reach beyond it.
            self._set(LinkState.REWINDING, "the tail to be saved")
            connection.close()
            log.warning("replication.rewinding", fork=str(decided.fork), reason=decided.reason)
            await to_its_end(self._rewind(decided.fork))
        else:
            raise stopping_error(decided)

    async def _copy_proposed(
        self,
        connection: Connection,
        decided: Decided,
        welcome: Welcome,
        *,
        mine: History | None,
        claimed: History | None,
    ) -> None:
        primary = History(welcome.database, decided.position, welcome.epochs)
        refusal = self._why_kept(mine, claimed, primary, decided)

        # A repair that was refused is given up: the next session claims what is here and follows with it.
        if refusal is not None:
            self._give_repair_up()
            raise LinkStoppedError(f"the primary proposed to replace this replica's data: {refusal}")

        if self._restore_first is not None:
            self._restore_first.proposed_copy(decided.code, decided.reason)

        # The archive may hold the log that the primary no longer has. Applying it costs less than a whole
        # copy.
        if decided.code == Code.LOG_GONE.value and await self._caught_up(primary):
            return

        if not self._start_over:
            self.link.high_watermark = HighWatermark(welcome.position.epoch, welcome.position.sequence)

        log.info("bootstrap.begins", code=decided.code, reason=decided.reason)
        await self._bootstrap(connection)

    def _why_kept(
        self, mine: History | None, claimed: History | None, primary: History, decided: Decided
    ) -> str | None:
        """Why the data that is here stays although the primary proposes a copy, or None. The primary only
        proposes: each reason to claim nothing has its own rule for what the copy may replace."""
        if mine is None or claimed is not None:
            refusal = may_bootstrap(mine, primary, _code(decided.code))
        elif self._discard:
            same = mine.database_id == primary.database_id
            refusal = None if same else "the copy is of another database"
        elif self._start_over:
            refusal = may_start_over(mine, primary)
        else:
            refusal = may_repair(mine, primary)

        # A copy is newer than what a pause, or what waits, keeps from readers.
        return self._data.held_because if refusal is None and mine is not None else refusal

    async def _caught_up(self, primary: History) -> bool:
        """Whether the log archive brought this replica further, so that the primary is to be asked again."""
        intake = self._data.intake
        if self._archive is None or intake is None or self._catch_ups >= CATCH_UPS_MAX:
            return False
        self._catch_ups += 1
        self._set(LinkState.CATCHING_UP, "the archived log to be applied")
        return await catch_up(
            intake, self._archive, primary, self._env.clock, self._options.catch_up_seconds_max
        )

    async def _restore(self, restore: RestoreFirst, welcome: Welcome) -> None:
        """Begins with a backup; the next session follows from where that one ends."""

        def restoring() -> None:
            self._set(LinkState.RESTORING, "the backup to be restored")

        def note(progress: BootstrapProgress) -> None:
            # A thread of the restore tells it, perhaps when the session has ended.
            if self._activity is not restore:
                return
            if self.link.state is not LinkState.RESTORING:
                restoring()
            self._on_progress(progress)

        # A link that a refused backup stopped is shown as stopped until the next attempt has found a backup.
        self._activity, self.progress = restore, None
        if self.link.state is not LinkState.STOPPED:
            restoring()

        staging = await restore.run(History(welcome.database, welcome.position, welcome.epochs), note)
        if staging is not None:
            self._set(LinkState.INSTALLING, "the store to open the restored backup")
            await to_its_end(self._install(staging))
            restore.installed()

    async def _receive_decision(self, connection: Connection) -> tuple[Decided, Heartbeat | None]:
        """With the last heartbeat before it. The primary may search its log for a while: only its silence is
        too long."""
        heartbeat = None
        while True:
            message = await connection.receive()
            if isinstance(message, Decided):
                return message, heartbeat
            if isinstance(message, Refuse):
                raise SessionRefusedError(message.code, message.reason, message.retry)
            if not isinstance(message, Heartbeat):
                raise ProtocolError(f"{message.KIND.name} came where DECISION belongs")
            heartbeat = message

    async def _stream(self, connection: Connection, intake: LogIntake, welcome: Welcome) -> None:
        receiver = Receiver(
            intake,
            connection,
            self._options,
            on_primary=self._heard_of_primary,
            upstream=self.upstream,
            on_nodes=self._on_nodes,
            traffic=self._traffic,
            takes_delayed=DELAYED in welcome.features,
        )

        self._activity = receiver
        self._streams_from = intake.position.sequence
        self._linked(LinkState.STREAMING)

        # The archive has helped, or was not needed: when log is gone again, it may be tried again.
        self._catch_ups = 0
        log.info("replication.streaming", peer=connection.peer, position=str(intake.position))

        # A mark would come when it is due: the primary would hold its snapshot for nothing until then.
        if not intake.delays:
            self.upstream.attach(connection, welcome.features)
        try:
            await receiver.run()
        finally:
            self.upstream.detach()
            if intake.position.sequence > self._streams_from:
                self._progressed()

    async def _bootstrap(self, connection: Connection) -> None:
        self.progress = None
        fetcher = Fetcher(
            self._env,
            connection,
            self._identity,
            self._dial,
            self._data,
            self._data_dir,
            self._options,
            self._position,
            self._on_progress,
            traffic=self._traffic,
        )

        self._activity = fetcher
        self._linked(LinkState.BOOTSTRAPPING)

        copy, staging = await fetcher.run()

        self._set(LinkState.INSTALLING, "the store to open the copy")
        self._activity = None
        await to_its_end(self._install(staging))

        # The primary may remove its copy after this, so it is sent only when the copy has become this node's
        # data.
        connection.send(Installed(copy.copy))
        log.info("bootstrap.finished", position=str(copy.position), size_bytes=copy.bytes)

    async def _install(self, staging: Path) -> None:
        # What was fetched stays: the session after a resume needs it.
        try:
            await self._data.install(staging)
        except LinkStoppedError:
            self._give_repair_up()
            raise
        self._start_over, self._discard, self._repair = False, False, None
        self.progress = None
        self._progressed()
        self._on_change()

    async def _rewind(self, fork: Position) -> None:
        self._start_over = not await self._data.rewind(fork)

    def _on_progress(self, progress: BootstrapProgress) -> None:
        if self.progress is None:
            self.progress_started_at = self._env.clock.monotonic()
            self.progress_started_bytes = progress.size_bytes
        elif progress.size_bytes > self.progress.size_bytes:
            self._progressed()
        self.progress = progress

    def _heard_of_primary(self, sequence: int, heartbeat: Heartbeat | None) -> None:
        clock = self._env.clock
        self.link.primary_sequence = sequence
        intake = self._data.intake
        received = None if self.receiver is None or intake is None else intake.position.sequence
        if received is not None and is_progress(self._streams_from, received, sequence):
            self._progressed()
        self.link.high_watermark = max(
            HighWatermark(self._position().epoch, sequence), self.link.high_watermark or HighWatermark(0, 0)
        )

        now = clock.awake()
        if heartbeat is None:
            self.ages.freshness.heard(sequence, now)
        else:
            self.ages.freshness.heard(sequence, now, fresh_at(heartbeat, self._asked_at, now))
            self.link.primary_clock_ahead_seconds = (heartbeat.clock_us - clock.wall_us()) / 1e6

    def _beat(self) -> Heartbeat:
        clock = self._env.clock
        return Heartbeat(self._position(), clock.wall_us(), sent_us=int(clock.awake() * 1e6))

    def _position(self) -> Position:
        return NOWHERE if self._data.intake is None else self._data.intake.durable_position

    def _linked(self, state: LinkState) -> None:
        self.link.forget_troubles()
        self._set(state, "")

    def _progressed(self) -> None:
        """The session has brought something: the next failure is the first one."""
        self.link.attempts = 0
        self._down_because = None

    def _set(self, state: LinkState, waits_for: str) -> None:
        self.link.move(state, waits_for, self._env.clock.monotonic())
        self._on_change()


def _code(value: str) -> Code:
    try:
        return Code(value)
    except ValueError:
        raise ProtocolError(f"{value!r} is not a reason that this version knows") from None

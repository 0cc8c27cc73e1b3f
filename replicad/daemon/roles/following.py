"""Following another node: because an operator says so, or because a primary of a higher epoch was found.

    follow       ask that node; refuse what would lose data; end the link; record; link to the new node
    rejoin       ask that node; end the link; save what it may lack; record; fetch all data from it
    turn_to      record; link to the new node

All checks come before the first effect, and a refusal leaves the node with the link that it had. A death
before the record: the node follows the node that it followed before. A death after it: the new one. Belongs
to the event loop.
"""

from __future__ import annotations

from functools import partial

from replicad.daemon.data.node_data import NodeData
from replicad.daemon.open_store import OpenStore
from replicad.daemon.own_standing import OwnStanding
from replicad.daemon.roles.change_lock import ChangeLock
from replicad.daemon.roles.node_link import NodeLink
from replicad.daemon.roles.peer_survey import PeerSurvey
from replicad.daemon.roles.peers import Peers
from replicad.daemon.roles.resolve import resolve
from replicad.daemon.roles.role_memory import RoleMemory
from replicad.daemon.tasks import NodeTasks
from replicad.env.events import get_logger
from replicad.errors import ConfigError, ReplicadError, RoleRefused, StoreError
from replicad.net.addresses import Address, parse_address
from replicad.net.doors import Doors
from replicad.replication.options import RoleOptions
from replicad.replication.policy.agree import History, last_common, would_discard
from replicad.replication.policy.roles import Standing, Verdict, View, closes_loop, judge
from replicad.replication.tasks import in_thread
from replicad.replication.wire.identify import Identity
from replicad.replication.wire.introduction import view_of
from replicad.replication.wire.messages import StandingMessage
from replicad.store.database import Database

log = get_logger("replicad.daemon")


def address_from(host: str, port: int) -> Address:
    """Raises RoleRefused for an address that this node may not connect to."""
    try:
        return parse_address(str(Address(host, port)))
    except ConfigError as error:
        raise RoleRefused(str(error)) from None


class Following:
    def __init__(
        self,
        identity: Identity,
        options: RoleOptions,
        *,
        standing: OwnStanding,
        store: OpenStore,
        data: NodeData,
        memory: RoleMemory,
        peers: Peers,
        link: NodeLink,
        survey: PeerSurvey,
        lock: ChangeLock,
        tasks: NodeTasks,
        doors: Doors,
    ) -> None:
        self._identity = identity
        self._options = options
        self._standing = standing
        self._store = store
        self._data = data
        self._memory = memory
        self._peers = peers
        self._link = link
        self._survey = survey
        self._lock = lock
        self._tasks = tasks
        self._doors = doors

    # Because an operator says so.

    async def follow(self, host: str, port: int) -> None:
        """Follows the node at that replication or client address; raises RoleRefused."""
        await self._lock.run(partial(self._follow, address_from(host, port)))

    async def _follow(self, address: Address) -> str:
        found, answer = await self._ask(address)
        other = view_of(answer)
        if (loop := closes_loop(self._identity.node, answer.node, answer.path)) is not None:
            raise RoleRefused(f"that would close a loop: {loop}; replicad switchover exchanges the roles")

        # A primary follows only a node that would fence it anyway. Anything else would leave the database
        # without a primary, or with one that lacks acknowledged writes.
        if self._standing.role == "primary":
            if judge(self._survey.view(), other, fenced_by=None, linked=False) is not Verdict.FENCE:
                raise RoleRefused(
                    f"this node is the primary of epoch {self._store.epoch}, {found} is not above"
                )
            self._survey.heard(answer, asked=True)
            return ""

        self._check_database(found, other)
        await self._link.stop()
        try:
            # Again, now that the data does not change any more: the first copy may have been put in place
            # while the link was ended.
            self._check_database(found, other)
            self._check_loss(found, other)
        except RoleRefused:
            self._link.start_again()
            raise
        await self.point_link_at(found, answer.clients)
        return ""

    async def rejoin(self, host: str | None, port: int) -> str:
        """See the server's `Node.rejoin`."""
        return await self._lock.run(partial(self._rejoin, None if host is None else address_from(host, port)))

    async def _rejoin(self, address: Address | None) -> str:
        if self._standing.role == "primary":
            raise RoleRefused("this node is a primary: replicad switchover gives its role away")
        wanted = address or self._memory.primary
        if wanted is None:
            raise RoleRefused("this node knows no primary; name one")
        if (held := self._data.delay.held_because) is not None:
            raise RoleRefused(held)

        # Everything here is about to be replaced, so the other node must have something to replace it with.
        found, answer = await self._ask(wanted)
        other = view_of(answer)
        self._check_database(found, other)
        if other.position is None or other.database_id is None:
            raise RoleRefused(f"{found} has no data that this node could fetch")
        if (loop := closes_loop(self._identity.node, answer.node, answer.path)) is not None:
            raise RoleRefused(f"that would close a loop: {loop}")

        # The tail is saved before anything says that the data may go.
        await self._link.stop()
        try:
            saved = await self._save_tail(History(other.database_id, other.position, other.epochs))
        except (ReplicadError, OSError) as error:
            self._link.start_again()
            raise RoleRefused(f"nothing has changed: {error}") from error
        await self.point_link_at(found, answer.clients, discard=True)
        return saved

    async def _ask(self, address: Address) -> tuple[Address, StandingMessage]:
        """The replication address of the node at this address, and what it says of itself."""
        if (refusal := self._doors.replication.refusal_of(address)) is not None:
            raise RoleRefused(refusal)
        seconds = self._options.ask_seconds
        found = await resolve(address, seconds, self._doors.clients)
        answer = await self._peers.ask(found, seconds)
        if answer is None:
            raise RoleRefused(f"nobody answers at {found}, or it is this node")
        return found, answer

    async def _save_tail(self, other: History) -> str:
        """Saves all that this node has after the last position that it surely shares with the other; says
        what that is."""
        store = self._store.database
        if store is None:
            return "nothing was here"
        shared = last_common(self._history(store), other)
        start = store.log_start

        # Batches before the start of the log are in tables only, and cannot be saved one by one. Without any
        # log there is still what waits to be applied.
        if start is None:
            start = store.position
        after = start if shared is None or shared.sequence < start.sequence else shared
        await in_thread(store.wait_durable, store.appended_sequence, self._options.switchover_seconds)
        saved = await self._data.save_after(after)
        batches, files = sum(each.batches for each in saved), [path for each in saved for path in each.files]
        if not batches and store.log_start is None:
            return "nothing was here but tables, which the copy replaces"
        if not batches:
            return "nothing was here that the other lacks"
        return f"saved: {batches} batches after {after}, in {files[0]}" + (
            f" and {len(files) - 1} more" if len(files) > 1 else ""
        )

    def _history(self, store: Database) -> History:
        """What this node has received, applied or not."""
        apply = self._store.apply
        if apply is None:
            return History(store.database_id, store.position, store.epochs)
        return History(store.database_id, apply.position, apply.epochs)

    def _check_database(self, address: Address, other: View) -> None:
        mine = self._store.database_id
        if mine is not None and other.database_id not in (None, mine):
            raise RoleRefused(f"{address} has another database; this node's data must be removed first")

    def _check_loss(self, address: Address, other: View) -> None:
        store = self._store.database
        if store is None or other.database_id is None or other.position is None:
            return
        lost = would_discard(self._history(store), History(other.database_id, other.position, other.epochs))
        if lost is not None:
            raise RoleRefused(
                f"to follow {address} this node would have to discard {lost}; "
                "replicad rejoin saves that in discarded/, and gives it up"
            )

    # Because a primary of a higher epoch was found.

    def turn_to(self, address: Address, clients: str) -> None:
        """Follows that node soon, unless another change of role is under way."""

        async def turn() -> str:
            # The node may have been promoted before its turn came.
            if self._standing.role == "replica":
                await self.point_link_at(address, clients)
            return ""

        # A change under way decides itself whom this node follows. If that is another node, the next survey
        # finds this primary again.
        if not self._lock.is_taken:
            self._tasks.spawn(self._lock.run(turn))

    async def point_link_at(self, address: Address, clients: str, *, discard: bool = False) -> None:
        """Follows that node instead of any other. The store is a replica's. `discard`: a copy from there
        replaces all data."""
        await self._link.stop()
        self._memory.primary, self._memory.primary_clients = address, clients
        try:
            await self._memory.save_following(self._store.epoch)
        except StoreError as error:
            # The next record of the role contains it. A death before that leaves a node that follows the
            # former one again, and finds the new one as it did now.
            log.warning("state.not_saved", reason=str(error))
        self._standing.move(Standing.FOLLOWING)
        self._link.start(discard=discard)

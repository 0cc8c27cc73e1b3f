"""Changes of role, in place: a node follows, is promoted, hands over, is fenced.

`replication.roles` draws the standings and decides; here are the effects, in the order that keeps promises:

    promote     end the link; the store begins its epoch; writes are taken; the record
    fence       refuse writes at once; the record; the store takes none any more; follow
    follow      the record; a link to the new primary

One change at a time holds `_changing`. Fencing does not wait for it: the standing moves at once, and whatever
was under way finds that out when it looks again. Belongs to the event loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from typing import TYPE_CHECKING, Any

import structlog

from replicad.daemon.addresses import Address, parse_address
from replicad.daemon.process.notify import notify
from replicad.daemon.roles.peers import address_of
from replicad.daemon.roles.resolve import resolve
from replicad.daemon.roles.switchover import Switchover, reached
from replicad.errors import ConfigError, PoisonedError, ReplicadError, RoleRefused, StoreError
from replicad.replication.policy.agree import History, last_common, would_discard
from replicad.replication.policy.roles import (
    MOVES,
    Candidate,
    Standing,
    Verdict,
    View,
    closes_loop,
    judge,
    may_promote,
)
from replicad.replication.tasks import in_thread
from replicad.replication.wire.meeting import view_of

if TYPE_CHECKING:
    from replicad.daemon.program import NodeProgram

log = structlog.get_logger("replicad.daemon")

RETRY_SECONDS = 1.0
EPOCHS_WARN = 1000
COPYING = frozenset({"bootstrapping", "installing", "rewinding"})


class RoleChanges:
    def __init__(self, node: NodeProgram) -> None:
        self.standing = Standing.FOLLOWING
        self._node = node
        self.started = asyncio.Event()
        """Changes wait for it: others hear of the node, and it of them, before its record is written."""
        self._changing = asyncio.Lock()
        self._stopping = False
        self._switchover: Switchover | None = None

    def begin_as(self, standing: Standing) -> None:
        """At the start of the node; every other change is a move."""
        self.standing = standing

    def move(self, standing: Standing) -> None:
        """Takes an arrow of the drawing; clients feel it before this returns."""
        if standing is self.standing:
            return
        assert standing in MOVES[self.standing], (self.standing, standing)
        log.info("role.changed", before=self.standing.value, now=standing.value)
        self.standing = standing
        self._node.clients.role_changed()
        self._node.shower.nudge()

    def doubt(self) -> None:
        """Clients are not told: this is called while they are answered, and answers wait from now on."""
        assert Standing.DOUBTING in MOVES[self.standing], self.standing
        self.standing = Standing.DOUBTING

    def stop(self) -> None:
        """No change is begun any more: the node ends those that it knows of, and then closes its store."""
        self._stopping = True

    @property
    def is_paused(self) -> bool:
        return self.standing is Standing.PAUSED

    async def change(self, job: Coroutine[Any, Any, str]) -> str:
        """Runs a change of role to its end, also when whoever asked for it goes away."""
        try:
            await self.started.wait()
            if self._stopping:
                raise RoleRefused("this node is stopping")
            if self._changing.locked():
                raise RoleRefused("another change of role is under way")
        except BaseException:
            job.close()
            raise

        async def alone() -> str:
            async with self._changing:
                return await job

        result: str = await asyncio.shield(self._node.spawn(alone()))
        return result

    async def in_turn(self, job: Coroutine[Any, Any, None]) -> None:
        """Runs a change that nobody waits for when those under way have ended."""
        try:
            await self.started.wait()
            async with self._changing:
                await job
        finally:
            job.close()

    # Promotion.

    async def promote(self, *, force: bool) -> str:
        return await self.change(self._promote(force))

    async def _promote(self, force: bool) -> str:
        node, memory = self._node, self._node.memory
        if self.standing.role == "primary":
            raise RoleRefused("this node takes writes already")
        if self.standing is Standing.FENCED and memory.fenced_by is not None and not force:
            raise RoleRefused(
                f"it was fenced by epoch {memory.fenced_by}, whose writes it lacks; --force gives them up"
            )
        if memory.granted_epoch is not None and not force:
            raise RoleRefused(
                f"its role was given to {memory.primary}, which may have taken writes; --force gives them up"
            )
        began = node.env.clock.monotonic()
        around = await node.certainty.look_around()
        store, follower = node.store, node.link.follower
        if store is not None and store.role == "owner":
            raise RoleRefused("this node is stepping down; ask again")
        busy = follower is not None and follower.link.state in COPYING
        position = None if store is None else store.position
        candidate = Candidate(position, node.link.told_at_most, around, busy)
        refusal, lost = may_promote(candidate, force=force)
        if refusal is not None:
            raise RoleRefused(refusal)
        await node.link.stop()
        await self.begin_epoch(max(memory.above_fences, around.given_epoch + 1, around.epoch + 1))
        log.info("role.promotion_done", seconds=round(node.env.clock.monotonic() - began, 4))
        if lost:
            log.error("role.promoted_with_loss", lost=lost)
        return "" if lost is None else f"lost: {lost}"

    async def begin_epoch(self, at_least: int) -> None:
        """The link has ended; takes writes when it returns."""
        node = self._node
        store = node.store
        assert store is not None
        self.move(Standing.PROMOTING)
        try:
            record = await in_thread(store.promote, node.env.random.bytes(16), at_least=at_least)
        except ReplicadError as error:
            self.move(Standing.FOLLOWING)
            if store.failed is None and node.memory.primary is not None:
                node.link.start()
            raise RoleRefused(f"nothing has changed: {error}") from error
        node.link.forget()
        self.move(Standing.PRIMARY)
        log.warning("role.promoted", epoch=record.epoch, fork=str(record.fork))
        if len(store.epochs) >= EPOCHS_WARN:
            # Each is in the manifest for good; every change of role writes all of them.
            log.warning("role.many_epochs", epochs=len(store.epochs))
        notify(f"STATUS=primary at {store.durable_position}")
        node.certainty.meet_soon()
        nothing = (
            *("primary", "configured", "fenced_by", "granted_epoch"),
            *("primary_sequence", "primary_epoch", "primary_node"),
        )
        await node.memory.save(node.epoch, role="primary", **dict.fromkeys(nothing))

    # Switchover: `daemon.switchover` has the story.

    async def switch_over(self, target: str | None, *, timeout_seconds: float | None) -> str:
        seconds = timeout_seconds or self._node.config.roles.switchover_seconds
        return await self.change(self._switch_over(Switchover(self._node, target, seconds)))

    async def _switch_over(self, switchover: Switchover) -> str:
        self._switchover = switchover
        try:
            return await switchover.run()
        finally:
            self._switchover = None

    def cancel_switchover(self) -> bool:
        if self._switchover is None or not self.is_paused:
            return False
        self._switchover.cancel()
        return True

    async def give_away(self, address: Address, clients: str, epoch: int) -> None:
        """Steps down for the node there, for good; it is paused, and the other is ready. RoleRefused when
        that could not be recorded: then it goes on."""
        node, memory = self._node, self._node.memory
        self.move(Standing.HANDING_OVER)
        memory.primary, memory.primary_clients = address, clients
        before = memory.record
        try:
            await memory.save_following(node.epoch, granted_epoch=epoch)
        except StoreError as error:
            memory.record, memory.primary = before, None
            self.move(Standing.PRIMARY)
            raise RoleRefused(f"rolled back, writes go on here: {error}") from error
        reached("given")
        await self._until_saved(self._demote, meanwhile=self.refuse_writes)
        reached("demoted")

    async def given_away(self, epoch: int, target: Address, address: Address, clients: str) -> None:
        """The epoch has begun: the node at `address`, which is the target or was before it, is primary.
        Nothing, when this node took its role back meanwhile."""
        node, memory = self._node, self._node.memory
        if memory.granted_epoch != epoch or self.standing not in (Standing.HANDING_OVER, Standing.FOLLOWING):
            return
        if memory.primary == target:  # and was not told to follow another since
            await self.follow_from_now(address, clients)
        await memory.save(node.epoch, granted_epoch=None)

    def refuse_writes(self) -> None:
        """Those that wait are told where to go."""
        self.move(Standing.FOLLOWING)

    # Fencing.

    def fence(self, epoch: int, where: tuple[str, str] = ("", "")) -> None:
        """A higher epoch exists: nothing is acknowledged from here on. `where` its primary is, if known:
        replication and client address."""
        if self.standing.role != "primary" or self.standing is Standing.HANDING_OVER:
            return
        memory = self._node.memory
        memory.primary, memory.primary_clients = address_of(where[0]), where[1]
        log.error("role.fenced", by_epoch=epoch, primary=where[0] or None)
        self.move(Standing.FENCED)
        self._node.spawn(self._step_down(epoch))

    async def _step_down(self, epoch: int) -> None:
        node = self._node
        await self.started.wait()
        async with self._changing:
            await self._until_saved(partial(node.memory.save_following, node.epoch, fenced_by=epoch))
            await self._until_saved(self._demote)
            if node.memory.primary is None:
                node.certainty.meet_soon()
            elif self.standing is Standing.FENCED:
                self.move(Standing.FOLLOWING)
                node.link.start()

    async def _demote(self) -> None:
        assert self._node.store is not None
        await in_thread(self._node.store.demote)

    async def _until_saved(
        self, save: Callable[[], Awaitable[None]], meanwhile: Callable[[], None] = lambda: None
    ) -> None:
        """Tries until it is saved: what was decided stays, and no other change may come before. `meanwhile`
        is called when that does not succeed at once. Raises PoisonedError."""
        while True:
            try:
                return await save()
            except PoisonedError:
                raise
            except (StoreError, OSError) as error:
                log.error("role.not_saved", reason=str(error))
                meanwhile()
                await asyncio.sleep(RETRY_SECONDS)

    # Following.

    async def follow(self, host: str, port: int) -> None:
        """Raises RoleRefused, also for an address that this node may not connect to."""
        try:
            address = parse_address(str(Address(host, port)))
        except ConfigError as error:
            raise RoleRefused(str(error)) from None
        await self.change(self._follow(address))

    async def _follow(self, address: Address) -> str:
        node = self._node
        found = await resolve(address, node.config.roles.ask_seconds)
        answer = await node.peers.ask(found, node.config.roles.ask_seconds)
        if answer is None:
            raise RoleRefused(f"nobody answers at {found}, or it is this node")
        other = view_of(answer)
        if (loop := closes_loop(node.identity.node, answer.node, answer.path)) is not None:
            raise RoleRefused(f"that would close a loop: {loop}; replicad switchover exchanges the roles")
        if self.standing.role == "primary":
            if judge(node.certainty.view(), other, fenced_by=None, linked=False) is not Verdict.FENCE:
                raise RoleRefused(f"this node is the primary of epoch {node.epoch}, {found} is not above")
            node.certainty.heard(answer, asked=True)
            return ""
        self._check_database(found, other)
        await node.link.stop()
        try:
            self._check_database(found, other)  # the first copy may have been put in place meanwhile
            self._check_loss(found, other)
        except RoleRefused:
            if node.memory.primary is not None:
                node.link.start()
            raise
        await self.follow_from_now(found, answer.clients)
        return ""

    async def rejoin(self, address: Address | None) -> str:
        """See the server's `Node.rejoin`."""
        return await self.change(self._rejoin(address))

    async def _rejoin(self, address: Address | None) -> str:
        node = self._node
        if self.standing.role == "primary":
            raise RoleRefused("this node is a primary: replicad switchover gives its role away")
        wanted = address or node.memory.primary
        if wanted is None:
            raise RoleRefused("this node knows no primary; name one")
        found = await resolve(wanted, node.config.roles.ask_seconds)
        answer = await node.peers.ask(found, node.config.roles.ask_seconds)
        if answer is None:
            raise RoleRefused(f"nobody answers at {found}, or it is this node")
        other = view_of(answer)
        self._check_database(found, other)
        if other.position is None or other.database_id is None:
            raise RoleRefused(f"{found} has no data that this node could fetch")
        if (loop := closes_loop(node.identity.node, answer.node, answer.path)) is not None:
            raise RoleRefused(f"that would close a loop: {loop}")
        await node.link.stop()
        try:
            saved = await self._save_tail(History(other.database_id, other.position, other.epochs))
        except (ReplicadError, OSError) as error:
            if node.memory.primary is not None:
                node.link.start()
            raise RoleRefused(f"nothing has changed: {error}") from error
        await self.follow_from_now(found, answer.clients, discard=True)
        return saved

    async def _save_tail(self, other: History) -> str:
        """All that this node has after the last position that it surely shares with the other."""
        node, store = self._node, self._node.store
        if store is None:
            return "nothing was here"
        shared = last_common(History(store.database_id, store.position, store.epochs), other)
        start = store.log_start
        if start is None:
            return "nothing was here but tables, which the copy replaces"
        after = start if shared is None or shared.sequence < start.sequence else shared
        await in_thread(store.wait_durable, store.appended_sequence, node.config.roles.switchover_seconds)
        saved = await node.holding.save_after(after)
        if not saved.batches:
            return "nothing was here that the other lacks"
        return f"saved: {saved.batches} batches after {saved.after}, in {saved.files[0]}" + (
            f" and {len(saved.files) - 1} more" if len(saved.files) > 1 else ""
        )

    def _check_database(self, address: Address, other: View) -> None:
        mine = self._node.holding.database_id
        if mine is not None and other.database_id not in (None, mine):
            raise RoleRefused(f"{address} has another database; this node's data must be removed first")

    def _check_loss(self, address: Address, other: View) -> None:
        store = self._node.store
        if store is None or other.database_id is None or other.position is None:
            return
        mine = History(store.database_id, store.position, store.epochs)
        lost = would_discard(mine, History(other.database_id, other.position, other.epochs))
        if lost is not None:
            raise RoleRefused(
                f"to follow {address} this node would have to discard {lost}; "
                "replicad rejoin saves that in discarded/, and gives it up"
            )

    def turn_to(self, address: Address, clients: str) -> None:
        """Follows that node soon, unless another change of role is under way."""

        async def turn() -> str:
            if self.standing.role == "replica":  # it may have been promoted before its turn came
                await self.follow_from_now(address, clients)
            return ""

        if not self._changing.locked():
            self._node.spawn(self.change(turn()))

    async def follow_from_now(self, address: Address, clients: str, *, discard: bool = False) -> None:
        """The store is a replica's; this node follows that one, and nobody else any more. With `discard` it
        takes all data from there."""
        node = self._node
        await node.link.stop()
        node.memory.primary, node.memory.primary_clients = address, clients
        try:
            await node.memory.save_following(node.epoch)
        except StoreError as error:
            log.warning("state.not_saved", reason=str(error))  # the next record of the role says it
        self.move(Standing.FOLLOWING)
        node.link.start(discard=discard)

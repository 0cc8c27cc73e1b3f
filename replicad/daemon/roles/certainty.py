"""Who is primary, as far as nodes can tell each other: what this one says of itself, and what it hears.

    it stood still, or was started as a primary that others know   -> it asks them before it answers anything
    a node says who it is, asked or not                            -> `replication.roles.judge`

Nobody votes: a higher epoch wins wherever it is heard of. Belongs to the event loop.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

import structlog

from replicad.daemon.addresses import Address
from replicad.daemon.roles.peers import address_of
from replicad.replication.policy.agree import History
from replicad.replication.policy.epoch_proof import EPOCH_STEP_MAX, why_unproven
from replicad.replication.policy.roles import (
    Around,
    Further,
    Standing,
    Verdict,
    View,
    has_given,
    is_further,
    judge,
    would_be_deposed,
)
from replicad.replication.wire.meeting import view_of
from replicad.replication.wire.messages import StandingMessage, newest_epochs

if TYPE_CHECKING:
    from replicad.daemon.program import NodeProgram

log = structlog.get_logger("replicad.daemon")

CLASHES_MAX = 8
ASKED_MAX = 256
"""Nodes that are asked before a promotion."""


def _how_far(node: Further) -> tuple[int, int]:
    return node.position.epoch, node.position.sequence


class Certainty:
    def __init__(self, node: NodeProgram) -> None:
        self._clashes: dict[bytes, str] = {}
        self._node = node
        self._alive_at = node.env.clock.awake()
        self._standstills = 0
        self._meet_now = asyncio.Event()

    @property
    def clashes(self) -> str | None:
        """Another primary of this epoch, or a higher epoch without proof, in words: that must not be, and is
        for the operator."""
        return "; ".join(self._clashes.values()) or None

    # Itself.

    async def pulse(self) -> None:
        """Never returns: finds out that it did not run for a while."""
        while True:
            self.beat()
            await asyncio.sleep(self._node.config.roles.stood_still_seconds / 4)

    def beat(self) -> None:
        """Called often, and before every acknowledgement."""
        node = self._node
        now = node.env.clock.awake()
        stood_still, self._alive_at = now - self._alive_at, now
        if stood_still > node.config.roles.stood_still_seconds:
            log.warning("role.stood_still", seconds=round(stood_still, 3))
            self._standstills += 1
            if node.standing in (Standing.PRIMARY, Standing.PAUSED) and len(node.peers):
                node.roles.doubt()
                node.spawn(self.find(f"it stood still for {stood_still:.1f} s"))

    async def find(self, why: str) -> None:
        """Asks the nodes it knows; one of a higher epoch fences this one.

        What was answered before the newest standstill says nothing of that time: they are asked again.
        """
        node, roles = self._node, self._node.config.roles
        log.info("role.doubts", reason=why, nodes=len(node.peers))
        while node.standing is Standing.DOUBTING:
            standstills, until = self._standstills, node.env.clock.monotonic() + roles.ask_seconds
            answers = await node.peers.ask_all(node.peers.addresses(), roles.ask_seconds)
            for answer in answers:
                self.heard(answer, asked=True)
            if not answers:
                # They may live elsewhere now, and have left word here while this node stood still.
                await asyncio.sleep(max(0.0, until - node.env.clock.monotonic()))
            self.beat()
            if standstills != self._standstills:
                continue
            if node.standing is Standing.DOUBTING and (answers or roles.when_alone == "serve"):
                log.info("role.certain", answers=len(answers))
                node.roles.move(Standing.PRIMARY)
            elif node.standing is Standing.DOUBTING:
                log.warning("role.alone", reason=f"{why}, and none of {len(node.peers)} nodes answers")
                await asyncio.sleep(roles.meet_seconds)

    # The others.

    async def meet(self) -> None:
        """Never returns: tells nodes that are not connected who this one is, and looks for a primary."""
        node, roles = self._node, self._node.config.roles
        while True:
            self._meet_now.clear()
            answers = await self._ask(self._whom_to_meet())
            if node.standing.role == "primary":
                await self._ask(self._followed_instead(answers))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(roles.meet_seconds):
                    await self._meet_now.wait()

    async def _ask(self, addresses: set[Address]) -> list[StandingMessage]:
        answers = await self._node.peers.ask_all(addresses, self._node.config.roles.ask_seconds)
        for answer in answers:
            self.heard(answer, asked=True)
        return answers

    def _followed_instead(self, answers: list[StandingMessage]) -> set[Address]:
        """Whom the others follow instead of this primary: maybe nobody else knows of both of them."""
        mine = self._own_address()
        found = {address_of(answer.primary) for answer in answers} - self._node.peers.addresses()
        return {address for address in found if address is not None and address != mine}

    def meet_soon(self) -> None:
        self._meet_now.set()

    def met(self, message: StandingMessage) -> None:
        """A node that was not asked says who it is."""
        peers, me = self._node.peers, self._node.identity
        if message.process == me.process:
            return  # this node, which was pointed at itself
        if peers.is_stranger(message):
            peers.forget(message.node)
        else:
            peers.remember(message.node, message.replication, message.clients)
        self.heard(message)

    def heard(self, answer: StandingMessage, *, asked: bool = False) -> None:
        """What another node says of itself; `asked`: it was asked where it is known to be."""
        node, other = self._node, view_of(answer)
        unproven = self._why_unproven(other, asked=asked)
        if unproven is not None:
            self._clash(answer, unproven)
        fenced_by = node.memory.fenced_by
        match judge(
            self.view(),
            other,
            fenced_by=fenced_by,
            linked=node.link.is_linked,
            unproven=unproven is not None,
        ):
            case Verdict.FENCE:
                node.roles.fence(other.epoch, self._where_its_primary_is(answer, other))
            case Verdict.FOLLOW:
                address = address_of(answer.replication)
                follows = node.memory.primary if node.link.follower is not None else None
                if address is not None and address != follows:
                    node.roles.turn_to(address, answer.clients)
            case Verdict.CLASH:
                self._clash(answer, f"is a primary in epoch {other.epoch} as well")
            case Verdict.NOTHING if unproven is None:
                self._clashes.pop(answer.node, None)

    def _clash(self, answer: StandingMessage, what: str) -> None:
        reason = f"{answer.node.hex()} ({answer.clients or answer.replication}): {what}"
        if self._clashes.get(answer.node) != reason:
            log.critical("role.clash", reason=reason)
        self._clashes.pop(answer.node, None)
        self._clashes[answer.node] = reason
        if len(self._clashes) > CLASHES_MAX:
            del self._clashes[next(iter(self._clashes))]

    def _why_unproven(self, other: View, *, asked: bool) -> str | None:
        """Why a higher epoch does not count here; None when it does, or none is claimed of this database."""
        me, store = self.view(), self._node.store
        if store is None or me.position is None or other.position is None:
            return None
        if me.database_id is None or other.database_id != me.database_id:
            return None
        return why_unproven(
            History(me.database_id, me.position, me.epochs),
            History(other.database_id, other.position, other.epochs),
            store.position_at,
            may_be_behind=self.may_be_behind(),
            asked=asked,
        )

    def may_be_behind(self) -> bool:
        """Whether others may have more of this node's last epoch than itself: a replica, or a primary that
        could lose what it sent with its power."""
        node = self._node
        return node.standing.role != "primary" or node.config.store.durability == "async"

    def _where_its_primary_is(self, answer: StandingMessage, other: View) -> tuple[str, str]:
        """The primary of a higher epoch, as far as the answer says: replication and client address."""
        if other.standing.role == "primary":
            return answer.replication, answer.clients
        if answer.primary == self._node.listening.get("replication"):
            return "", ""  # it is being promoted, and followed this node until now
        return answer.primary, answer.primary_clients

    def view(self) -> View:
        node = self._node
        store = node.store
        if store is None:
            return View(node.identity.node, node.standing, None, None, ())
        return View(
            node.identity.node, node.standing, store.database_id, store.durable_position, store.epochs
        )

    def introduce(self) -> StandingMessage:
        """What the others are told."""
        node, view = self._node, self.view()
        primary = node.memory.primary
        return StandingMessage(
            node=node.identity.node,
            process=node.identity.process,
            standing=node.standing.value,
            database=view.database_id,
            position=view.position,
            epochs=newest_epochs(view.epochs),
            replication=node.listening.get("replication", ""),
            clients=str(node.clients.address),
            primary="" if primary is None else str(primary),
            primary_clients=node.memory.primary_clients,
            path=node.link.path,
            granted=node.memory.granted_epoch,
            nodes=tuple(entry.replication for entry in node.peers.entries()),
        )

    async def look_around(self) -> Around:
        """What counts when this node is to be promoted: of primaries above it, however many replicas are
        between, and of all nodes that are known to it or them."""
        me, mine = self.view(), self._own_address()
        asked = await self.ask_around()
        answers = [answer for answer in asked.values() if answer is not None]
        around = Around(silent=self._silent(asked))
        for answer in answers:
            other = view_of(answer)
            if is_further(me, other) and other.position is not None:
                found = Further(answer.clients or answer.replication, other.position)
                around = around._replace(further=max(around.further or found, found, key=_how_far))
            if other.database_id == me.database_id and other.epoch < me.epoch + EPOCH_STEP_MAX:
                around = around._replace(epoch=max(around.epoch, other.epoch))
            if would_be_deposed(me, other):
                around = around._replace(primary_answers=True)
            if has_given(me, other) and address_of(answer.primary) != mine:
                epoch = max(around.given_epoch, other.granted or 0)
                around = around._replace(given_to=answer.primary, given_epoch=epoch)
        return around

    async def primary_since(self, epoch: int, *, but: Address) -> StandingMessage | None:
        """A primary in that epoch, or a later one, that answers; the node of that address is not asked."""
        me, roles = self.view(), self._node.config.roles
        answers = await self._node.peers.ask_all(self._others() - {but}, roles.ask_seconds)
        found = (answer for answer in answers if would_be_deposed(me, view_of(answer)))
        return next((answer for answer in found if view_of(answer).epoch >= epoch), None)

    async def ask_around(self) -> dict[Address, StandingMessage | None]:
        """What they answer that this node knows, and those whom they follow or know, and so on; None of one
        that does not answer."""
        peers, seconds = self._node.peers, self._node.config.roles.ask_seconds
        asked: dict[Address, StandingMessage | None] = {}
        to_ask = self._others()
        while to_ask and len(asked) < ASKED_MAX:
            order = sorted(to_ask)
            answers = await asyncio.gather(*(peers.ask(address, seconds) for address in order))
            asked |= zip(order, answers, strict=True)
            known = [answer for answer in answers if answer is not None and not peers.is_stranger(answer)]
            found = {address_of(text) for answer in known for text in (answer.primary, *answer.nodes)}
            to_ask = {address for address in found if address is not None} - asked.keys()
            to_ask.discard(self._own_address() or Address("", 0))
        return asked

    def _silent(self, asked: dict[Address, StandingMessage | None]) -> tuple[str, ...]:
        """Where the nodes are that did not answer, but for the primary of all: that one is what a promotion
        replaces, and what it acknowledged is known from elsewhere."""
        node, memory = self._node, self._node.memory
        answers = [answer for answer in asked.values() if answer is not None]
        answered = {answer.node for answer in answers}
        paths = [node.link.path, *(answer.path for answer in answers if not node.peers.is_stranger(answer))]
        primaries = {path[-1] for path in paths if path}
        if memory.primary_node is not None:
            primaries.add(memory.primary_node)
        by_address = {address_of(peer.replication): peer for peer in node.peers}
        left_out = {address_of(answer.primary) for answer in answers if len(answer.path) == 1}
        upstream = by_address.get(memory.primary)
        if upstream is None or memory.primary_node is None:
            left_out.add(memory.primary)
        silent = []
        for address, answer in asked.items():
            peer = by_address.get(address)
            if answer is not None or address in left_out:
                continue
            if peer is None or (peer.is_proven and peer.node_id not in primaries | answered):
                silent.append(str(address) if peer is None else peer.clients or peer.replication)
        return tuple(silent)

    def _whom_to_meet(self) -> set[Address]:
        node = self._node
        feed = node.holding.feed
        if node.standing.role == "primary":
            return node.peers.addresses(but=() if feed is None else feed.sessions)
        return set() if node.link.is_linked else self._others()

    def _own_address(self) -> Address | None:
        """Where others reach this node's replication; None before it listens."""
        return address_of(self._node.listening.get("replication", ""))

    def _others(self) -> set[Address]:
        """Whom this node follows, and all that it has met."""
        node = self._node
        mine = self._own_address()
        primary = node.memory.primary
        wanted = node.peers.addresses() | ({primary} if primary is not None else set())
        return {address for address in wanted if address != mine}

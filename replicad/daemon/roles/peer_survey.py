"""What the nodes of a database tell each other: this one introduces itself, asks, and acts on what it hears.

    a node says who it is, asked or not      judged: `replication.policy.roles.judge`
    a primary, every few seconds             asks the nodes that are not connected to it: one of them may be a
                                             primary as well, or follow one
    a replica without a link                 asks all nodes that it knows for a primary to follow
    before a promotion                       asks all nodes that it knows, and those that they know

Nobody votes: a higher epoch wins wherever it is heard of. Belongs to the event loop.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

from replicad.daemon.open_store import OpenStore
from replicad.daemon.own_addresses import OwnAddresses
from replicad.daemon.own_standing import OwnStanding
from replicad.daemon.roles.node_link import NodeLink
from replicad.daemon.roles.peers import Peers
from replicad.daemon.roles.role_memory import RoleMemory
from replicad.env.events import get_logger
from replicad.net.addresses import Address, address_of
from replicad.replication.options import RoleOptions
from replicad.replication.policy.agree import History
from replicad.replication.policy.epoch_proof import EPOCH_STEP_MAX, why_unproven
from replicad.replication.policy.roles import (
    NodeAhead,
    SurveyResult,
    Verdict,
    View,
    has_given,
    hears_its_primary,
    is_further,
    judge,
    would_be_deposed,
)
from replicad.replication.wire.identify import Identity
from replicad.replication.wire.introduction import view_of
from replicad.replication.wire.messages import StandingMessage, newest_epochs

log = get_logger("replicad.daemon")

CLASHES_MAX = 8
"""The newest that are shown."""
U32_MAX = (1 << 32) - 1
ASKED_MAX = 256
"""Nodes that are asked before a promotion."""


class PeerSurvey:
    def __init__(
        self,
        identity: Identity,
        options: RoleOptions,
        *,
        durability: str,
        standing: OwnStanding,
        store: OpenStore,
        memory: RoleMemory,
        peers: Peers,
        link: NodeLink,
        addresses: OwnAddresses,
        fence: Callable[[int, tuple[str, str]], None],
        turn_to: Callable[[Address, str], None],
    ) -> None:
        """`fence` is called with a higher epoch and where its primary is; `turn_to` with the replication and
        client address of a primary that this node should follow. `durability` is the store's option."""
        self._identity = identity
        self._options = options
        self._durability = durability
        self._standing = standing
        self._store = store
        self._memory = memory
        self._peers = peers
        self._link = link
        self._addresses = addresses
        self._fence = fence
        self._turn_to = turn_to
        self._clashes: dict[bytes, str] = {}
        self._now = asyncio.Event()

    @property
    def clashes(self) -> str | None:
        """In words: which nodes are primaries of this node's epoch, or claim a higher epoch without proof.
        Neither should ever happen, and this node cannot resolve it: the operator must."""
        return "; ".join(self._clashes.values()) or None

    # What this node says of itself.

    def view(self) -> View:
        store = self._store.database
        if store is None:
            return View(self._identity.node, self._standing.current, None, None, ())
        # A replica that applies late has what it received: a promotion of it would apply that first.
        has = self._store.apply or store
        return View(
            self._identity.node,
            self._standing.current,
            store.database_id,
            has.durable_position,
            has.epochs,
        )

    def introduce(self) -> StandingMessage:
        """The message that other nodes get."""
        view, primary = self.view(), self._memory.primary
        return StandingMessage(
            node=self._identity.node,
            process=self._identity.process,
            standing=view.standing.value,
            database=view.database_id,
            position=view.position,
            epochs=newest_epochs(view.epochs),
            replication=self._addresses.replication,
            clients=self._addresses.clients,
            primary="" if primary is None else str(primary),
            primary_clients=self._memory.primary_clients,
            path=self._link.path,
            granted=self._memory.granted_epoch,
            nodes=tuple(entry.replication for entry in self._peers.entries()),
            heard_ms=self._heard_ms(),
        )

    def _heard_ms(self) -> int | None:
        follower = self._link.follower
        age = None if follower is None or not self._link.is_linked else follower.ages.newest_age_seconds
        return None if age is None else min(round(max(0.0, age) * 1000), U32_MAX)

    def may_be_behind(self) -> bool:
        """Whether other nodes may have more of this node's last epoch than itself: it is a replica, or a
        primary that sends what a loss of power could still take from it."""
        return self._standing.role != "primary" or self._durability == "async"

    # What it hears.

    def heard_unasked(self, message: StandingMessage) -> None:
        """Another node says who it is."""
        if message.process == self._identity.process:
            return  # It is this node itself: its own address was given to it as another's.
        if self._peers.is_stranger(message):
            self._peers.forget(message.node)
        else:
            self._peers.remember(message.node, message.replication, message.clients)
        self.heard(message)

    def heard(self, answer: StandingMessage, *, asked: bool = False) -> None:
        """Acts on what another node says of itself; `asked`: this node asked it where it is known to be."""
        other = view_of(answer)
        unproven = self._why_unproven(other, asked=asked)
        if unproven is not None:
            self._clash(answer, unproven)

        match judge(
            self.view(),
            other,
            fenced_by=self._memory.fenced_by,
            linked=self._link.is_linked,
            unproven=unproven is not None,
        ):
            case Verdict.FENCE:
                self._fence(other.epoch, self._where_its_primary_is(answer, other))
            case Verdict.FOLLOW:
                address = address_of(answer.replication)
                # A link to that node that is about to connect must not be ended for one that does the same.
                follows = self._memory.primary if self._link.follower is not None else None
                if address is not None and address != follows:
                    self._turn_to(address, answer.clients)
            case Verdict.CLASH:
                self._clash(answer, f"is a primary in epoch {other.epoch} as well")
            case Verdict.NOTHING if unproven is None:
                self._clashes.pop(answer.node, None)

    def _clash(self, answer: StandingMessage, what: str) -> None:
        reason = f"{answer.node.hex()} ({answer.clients or answer.replication}): {what}"
        if self._clashes.get(answer.node) != reason:
            log.critical("role.clash", reason=reason)

        # Put at the end, so that the oldest goes when there are too many: anybody can send such a message.
        self._clashes.pop(answer.node, None)
        self._clashes[answer.node] = reason
        if len(self._clashes) > CLASHES_MAX:
            del self._clashes[next(iter(self._clashes))]

    def _why_unproven(self, other: View, *, asked: bool) -> str | None:
        """Why a higher epoch does not count here; None if it does, or if none is claimed of this database."""
        me, store = self.view(), self._store.database
        if store is None or me.position is None or other.position is None:
            return None
        if me.database_id is None or other.database_id != me.database_id:
            return None
        return why_unproven(
            History(me.database_id, me.position, me.epochs),
            History(other.database_id, other.position, other.epochs),
            (self._store.apply or store).position_at,
            may_be_behind=self.may_be_behind(),
            asked=asked,
        )

    def _where_its_primary_is(self, answer: StandingMessage, other: View) -> tuple[str, str]:
        """The primary of a higher epoch, as far as the answer says: replication and client address."""
        if other.standing.role == "primary":
            return answer.replication, answer.clients
        if answer.primary == (self._addresses.replication or None):
            return "", ""  # It is being promoted, and followed this node until now.
        return answer.primary, answer.primary_clients

    # What it asks.

    async def run(self) -> None:
        """Never returns: asks the nodes that are not connected, every few seconds or when `ask_soon` says."""
        while True:
            self._now.clear()
            answers = await self.ask(self._not_connected())
            if self._standing.role == "primary":
                await self.ask(self._followed_instead(answers))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._options.meet_seconds):
                    await self._now.wait()

    def ask_soon(self) -> None:
        """Does not wait for the next round."""
        self._now.set()

    async def ask(self, addresses: set[Address]) -> list[StandingMessage]:
        """Asks the nodes there who they are, and acts on each answer."""
        answers = await self._peers.ask_all(addresses, self._options.ask_seconds)
        for answer in answers:
            self.heard(answer, asked=True)
        return answers

    async def primary_since(self, epoch: int, *, but: Address) -> StandingMessage | None:
        """A primary in that epoch, or a later one, that answers; the node of that address is not asked."""
        me = self.view()
        answers = await self._peers.ask_all(self._others() - {but}, self._options.ask_seconds)
        found = (answer for answer in answers if would_be_deposed(me, view_of(answer)))
        return next((answer for answer in found if view_of(answer).epoch >= epoch), None)

    async def before_promotion(self) -> SurveyResult:
        """What counts when this node is to be promoted, of all nodes that are known to it or to them: it also
        finds the primary above several replicas in a row."""
        me, mine = self.view(), self._addresses.replication_address
        asked = await self.ask_transitively()
        survey = SurveyResult(silent=self._silent(asked))

        for answer in asked.values():
            if answer is None:
                continue
            other = view_of(answer)

            # Another node has writes that this one lacks; the one that has most should be promoted.
            if is_further(me, other) and other.position is not None:
                found = NodeAhead(answer.clients or answer.replication, other.position)
                survey = survey._replace(ahead=max(survey.ahead or found, found, key=_how_far))

            # The new epoch must be above all others. One too far ahead came of nothing true: a node that
            # believed it could not be followed by any other.
            if other.database_id == me.database_id and other.epoch < me.epoch + EPOCH_STEP_MAX:
                survey = survey._replace(epoch=max(survey.epoch, other.epoch))

            if would_be_deposed(me, other):
                survey = survey._replace(primary_answers=True)

            # It lives, although this node cannot reach it.
            if hears_its_primary(me, other, answer.path, answer.heard_ms):
                survey = survey._replace(heard_by=answer.clients or answer.replication)

            # A switchover gave the role to a third node, which may take writes already.
            if has_given(me, other) and address_of(answer.primary) != mine:
                epoch = max(survey.given_epoch, other.granted or 0)
                survey = survey._replace(given_to=answer.primary, given_epoch=epoch)
        return survey

    async def ask_transitively(self) -> dict[Address, StandingMessage | None]:
        """Asks the nodes that this one knows, then those that they follow or know, and so on; None for a node
        that does not answer."""
        peers, seconds = self._peers, self._options.ask_seconds
        asked: dict[Address, StandingMessage | None] = {}
        to_ask = self._others()
        while to_ask and len(asked) < ASKED_MAX:
            order = sorted(to_ask)
            answers = await asyncio.gather(*(peers.ask(address, seconds) for address in order))
            asked |= zip(order, answers, strict=True)

            # Nodes of another database know nothing about this one.
            known = [answer for answer in answers if answer is not None and not peers.is_stranger(answer)]
            found = {address_of(text) for answer in known for text in (answer.primary, *answer.nodes)}
            to_ask = {address for address in found if address is not None} - asked.keys()
            to_ask.discard(self._addresses.replication_address or Address("", 0))
        return asked

    def _silent(self, asked: dict[Address, StandingMessage | None]) -> tuple[str, ...]:
        """Where the nodes are that did not answer, except the primary: that one is what a promotion replaces,
        and its replicas know what it acknowledged."""
        memory, link, peers = self._memory, self._link, self._peers
        answers = [answer for answer in asked.values() if answer is not None]
        answered = {answer.node for answer in answers}

        # The ids of the primary, as this node and the others know it: the last node of each path.
        paths = [link.path, *(answer.path for answer in answers if not peers.is_stranger(answer))]
        primaries = {path[-1] for path in paths if path}
        if memory.primary_node is not None:
            primaries.add(memory.primary_node)

        # Its addresses: where a direct replica of it connects, and where this node does, unless the node
        # there is known to be a replica.
        by_address = {address_of(peer.replication): peer for peer in peers}
        left_out = {address_of(answer.primary) for answer in answers if len(answer.path) == 1}
        upstream = by_address.get(memory.primary)
        if upstream is None or memory.primary_node is None:
            left_out.add(memory.primary)

        silent = []
        for address, answer in asked.items():
            peer = by_address.get(address)
            if answer is not None or address in left_out:
                continue
            # An address that only the node itself claimed does not count: anybody could stop every promotion
            # with it. Nor does a former address of a node that answered elsewhere.
            if peer is None or (peer.is_proven and peer.node_id not in primaries | answered):
                silent.append(str(address) if peer is None else peer.clients or peer.replication)
        return tuple(silent)

    # Whom it asks.

    def _not_connected(self) -> set[Address]:
        """A replica that hears its primary asks nobody: it would hear of a higher epoch from that one."""
        if self._standing.role == "primary":
            return self._peers.addresses(but=self._store.sessions)
        return set() if self._link.is_linked else self._others()

    def _followed_instead(self, answers: list[StandingMessage]) -> set[Address]:
        """The nodes that others follow instead of this primary: it may be that only they know of both."""
        mine = self._addresses.replication_address
        found = {address_of(answer.primary) for answer in answers} - self._peers.addresses()
        return {address for address in found if address is not None and address != mine}

    def _others(self) -> set[Address]:
        """The node that this one follows, and all nodes that it knows."""
        mine, primary = self._addresses.replication_address, self._memory.primary
        wanted = self._peers.addresses() | ({primary} if primary is not None else set())
        return {address for address in wanted if address != mine}


def _how_far(node: NodeAhead) -> tuple[int, int]:
    return node.position.epoch, node.position.sequence

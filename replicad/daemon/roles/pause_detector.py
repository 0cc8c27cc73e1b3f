"""Whether this process stood still, and what a primary does then.

A machine that sleeps, a debugger, or a host without processor time can stop the process for a while. Another
node may have become primary meanwhile, and this one would not know. So it compares the clock with the last
time it looked, often, and before every acknowledgement. A primary that finds a gap doubts its role: it
acknowledges nothing until it has asked the other nodes.

    PRIMARY, PAUSED ──stood still──> DOUBTING ──a node answers, none has a higher epoch──> PRIMARY
                                        └──── a node has a higher epoch ────────────────> FENCED

Where a failover decides who leads, a primary doubts whenever its right to acknowledge has ended, and goes on
when it leads again.

A primary that is started while other nodes know of it doubts in the same way. Nobody votes: a higher epoch
wins wherever it is heard of. Belongs to the event loop.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

from replicad.daemon.own_standing import OwnStanding
from replicad.daemon.roles.leadership import Leadership
from replicad.daemon.roles.peer_survey import PeerSurvey
from replicad.daemon.roles.peers import Peers
from replicad.daemon.tasks import NodeTasks
from replicad.env import Clock
from replicad.env.events import get_logger
from replicad.replication.options import RoleOptions
from replicad.replication.policy.roles import Standing
from replicad.replication.tasks import Wakeup

log = get_logger("replicad.daemon")


class PauseDetector:
    def __init__(
        self,
        clock: Clock,
        options: RoleOptions,
        *,
        standing: OwnStanding,
        peers: Peers,
        survey: PeerSurvey,
        tasks: NodeTasks,
        go_on: Callable[[], Awaitable[None]],
        leadership: Leadership | None = None,
    ) -> None:
        """`go_on` is called when no other node objects: it makes this one a primary that takes writes, or has
        the nodes asked again. `leadership`: where a failover decides who leads."""
        self._clock = clock
        self._options = options
        self._standing = standing
        self._peers = peers
        self._survey = survey
        self._tasks = tasks
        self._go_on = go_on
        self._leadership = leadership
        self._alive_at: float | None = None
        """When this process was last seen to run; None before `begin`."""
        self._pauses = 0

    def begin(self) -> None:
        """Anybody may be answered from here on. Until then a pause says nothing: a node asks others about its
        role after its start, and a start that reads much log takes long."""
        if self._alive_at is None:
            self._alive_at = self._clock.awake()

    async def run(self) -> None:
        """Never returns: looks often enough to notice a pause although no client asks for anything."""
        while True:
            self.check()
            await asyncio.sleep(self._options.stood_still_seconds / 4)

    def check(self) -> None:
        """Called often, and before every acknowledgement."""
        if self._leadership is not None:
            self._check_leadership(self._leadership)
            return
        if self._alive_at is None:
            return
        now = self._clock.awake()
        stood_still, self._alive_at = now - self._alive_at, now
        if stood_still > self._options.stood_still_seconds:
            log.warning("role.stood_still", seconds=round(stood_still, 3))
            self._pauses += 1
            # A primary that no other node knows of cannot have been replaced.
            if self._standing.current in (Standing.PRIMARY, Standing.PAUSED) and len(self._peers):
                self._standing.doubt()
                self._tasks.spawn(self.confirm_role(f"it stood still for {stood_still:.1f} s"))

    def _check_leadership(self, leadership: Leadership) -> None:
        """The lease says whether another node may lead by now, however long this one stood still."""
        if self._standing.current in (Standing.PRIMARY, Standing.PAUSED) and not leadership.may_acknowledge():
            right = leadership.right
            is_new = right.leads and not right.is_stated
            why = "etcd does not say yet whom it waits for" if is_new else "its right to acknowledge ended"
            self._standing.doubt()
            self._tasks.spawn(self.confirm_role(why))

    async def _until_it_leads(self, leadership: Leadership) -> None:
        wakeup = Wakeup()
        end = leadership.subscribe(wakeup.notify)
        try:
            while self._standing.current is Standing.DOUBTING:
                wakeup.clear()
                if leadership.may_acknowledge():
                    log.info("role.certain", answers=0)
                    await self._go_on()
                else:
                    # Woken by the leadership; the standing may change without it.
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(self._options.meet_seconds):
                            await wakeup.wait()
        finally:
            end()

    async def confirm_role(self, why: str) -> None:
        """Asks the known nodes until one of them has answered; a node of a higher epoch fences this one.
        Where a failover decides who leads, waits until this node does."""
        if self._leadership is not None:
            log.info("role.doubts", reason=why, nodes=len(self._peers))
            await self._until_it_leads(self._leadership)
            return
        ask_seconds = self._options.ask_seconds
        log.info("role.doubts", reason=why, nodes=len(self._peers))

        while self._standing.current is Standing.DOUBTING:
            pauses, until = self._pauses, self._clock.monotonic() + ask_seconds
            answers = await self._survey.ask(self._peers.addresses())
            if not answers and len(self._peers):
                # The other nodes may be at other addresses now. One of them may have sent a message while
                # this node stood still: it is read during this wait.
                await asyncio.sleep(max(0.0, until - self._clock.monotonic()))

            # An answer that was given before the newest pause says nothing about that pause: another primary
            # may have begun in it. So the nodes are asked again.
            self.check()
            if pauses != self._pauses:
                continue

            # `ask` has moved the standing to FENCED if an answer was of a higher epoch.
            if self._standing.current is Standing.DOUBTING:
                if answers or self._options.when_alone == "serve" or not len(self._peers):
                    log.info("role.certain", answers=len(answers))
                    await self._go_on()
                else:
                    log.warning("role.alone", reason=f"{why}, and none of {len(self._peers)} nodes answers")
                    await asyncio.sleep(self._options.meet_seconds)

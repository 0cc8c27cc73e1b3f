"""From a process to a running node and back: event loop, signals, exit.

SIGTERM and SIGINT ask a node to stop. A second one does not hurry it; the service manager has SIGKILL for
that. SIGHUP has the configuration read again; a closed terminal sends it, too, and does not end a node. In
all other cases an exception ends a node, and the command line turns it into an exit code.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import uvloop

from replicad.daemon.config import NodeConfig
from replicad.daemon.process import logs
from replicad.daemon.process.allocator import share_one_arena
from replicad.daemon.process.notify import notify
from replicad.env import Env, raise_descriptor_limit
from replicad.env.apart import belongs_here
from replicad.env.events import get_logger
from replicad.env.reasons import reason_of
from replicad.errors import PoisonedError, ReplicadError
from replicad.replication.tasks import beside

log = get_logger("replicad.daemon")

SWITCH_SECONDS = 0.0005
"""How long a busy thread may keep the event loop waiting for the interpreter."""


class StopRequest:
    """Whether the node was asked to stop, and by what."""

    def __init__(self) -> None:
        self._event = asyncio.Event()
        self.reason = ""

    def request(self, reason: str) -> None:
        if not self._event.is_set():
            self.reason = reason
            log.info("daemon.stopping", reason=reason)
            notify("STOPPING=1", f"STATUS=stopping: {reason}")
            self._event.set()

    @property
    def requested(self) -> bool:
        return self._event.is_set()

    async def wait(self) -> None:
        await self._event.wait()


Node = Callable[[Any, Env, StopRequest], Coroutine[Any, Any, None]]


def run_node(node: Node, role: str, config: NodeConfig) -> None:
    """Runs `node` to its end. Raises what ended it, after logging it: PoisonedError when the disk failed,
    other ReplicadErrors for what could not be opened."""
    # All of this is of the process, so it comes before threads start and the first file is opened.
    logs.configure(config.log)
    sys.setswitchinterval(SWITCH_SECONDS)
    share_one_arena()
    config = within_descriptors(config, raise_descriptor_limit())

    # The log and the service manager say why, also if the exit code is all that the caller looks at.
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_main(node, role, config))
    except PoisonedError as error:
        log.critical("daemon.storage_failed", reason=str(error))
        notify(f"STATUS=storage failed: {error}")
        raise
    except (ReplicadError, OSError) as error:
        log.critical("daemon.failed", reason=reason_of(error))
        notify(f"STATUS=failed: {error}")
        raise


def within_descriptors(config: NodeConfig, limit: int) -> NodeConfig:
    """Lets clients take at most half of the file descriptors. A store that finds none for a new table or
    segment stops, and clients must not be able to cause that."""
    clients_max = min(config.clients.clients_max, limit // 2)
    if clients_max < config.clients.clients_max:
        log.warning("daemon.fewer_clients", clients_max=clients_max, descriptors=limit)
    return config.model_copy(update={"clients": replace(config.clients, clients_max=clients_max)})


async def _main(node: Node, role: str, config: NodeConfig) -> None:
    stop = StopRequest()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.request, signal.Signals(number).name)
    # Before there is a node that could read anything again, it must not end the process either.
    on_hangup(lambda: None)

    # No handler of a signal raises in this thread now, nor ever in those of the executor. What must not be
    # split need not run in another one: to start a thread for it would cost ten times what a replica's small
    # frame does.
    belongs_here()
    loop.set_default_executor(ThreadPoolExecutor(thread_name_prefix="replicad", initializer=belongs_here))
    log.info("daemon.starting", role=role, data=str(config.data))
    await node(config, Env(), stop)
    log.info("daemon.stopped", reason=stop.reason)


def on_hangup(handle: Callable[[], None]) -> None:
    """Has SIGHUP logged and handled, on the event loop that runs; not under nohup."""

    def hang_up() -> None:
        log.info("daemon.hangup")
        handle()

    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, hang_up)


async def until_stopped(stop: StopRequest, *tasks: Coroutine[Any, Any, Any]) -> None:
    """Runs the tasks until a stop is asked for, then cancels them. The first error of any ends all and is
    raised bare."""
    await beside(stop.wait(), *tasks)

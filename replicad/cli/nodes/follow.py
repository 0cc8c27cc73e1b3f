"""A running node's log as it grows, for `replicad updates --follow`: the change feed of its client port."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Callable

from replicad.cli import streams
from replicad.cli.nodes.access import NodeAddress
from replicad.cli.nodes.node import LogUpdate
from replicad.cli.output import print_error
from replicad.errors import ReplicadError, UnreachableError
from replicad.feed.feed_filter import FeedFilter
from replicad.feed.follow import Feed
from replicad.feed.node_connection import NodeAccess
from replicad.types import Position

ATTEMPT_SECONDS = 10.0
LAST_SECONDS = 2.0
"""How long the end may take, when the slot has to hear of what was shown last."""


def follow_node(
    target: NodeAddress,
    show: Callable[[LogUpdate], None],
    *,
    since: int | Position | None,
    slot: str | None,
    chosen: FeedFilter,
    count: int | None,
) -> None:
    """Calls `show` with each update, and acknowledges it when that returns. Ends after `count` updates, or by
    Ctrl-C. Raises UnreachableError when the node cannot be reached at the beginning; later it waits."""
    feed = Feed(
        _access_of(target),
        since=since,
        slot=slot,
        chosen=chosen,
        attempt_seconds=ATTEMPT_SECONDS,
        on_retry=_Reporter(),
    )
    asyncio.run(_follow(feed, show, slot=slot, count=count))


async def _follow(
    feed: Feed, show: Callable[[LogUpdate], None], *, slot: str | None, count: int | None
) -> None:
    try:
        await feed.connect()
    except OSError as error:
        raise UnreachableError(str(error)) from None

    # A reader of the output that goes away ends the verb also while nothing is printed.
    task, loop = asyncio.current_task(), asyncio.get_running_loop()
    unread = asyncio.Event()
    assert task is not None

    def end() -> None:
        loop.remove_reader(sys.stdout.fileno())
        unread.set()
        task.cancel()

    streams.when_unread(loop, end)

    shown = 0
    async with feed:
        try:
            async for update in feed:
                show(LogUpdate.of(update))
                if slot is not None:
                    feed.acknowledge(update.position)
                shown += 1
                if shown == count:
                    break
        except asyncio.CancelledError:
            # Ctrl-C. What was shown is acknowledged; without that it would only be shown again.
            with contextlib.suppress(ReplicadError, OSError):
                async with asyncio.timeout(LAST_SECONDS):
                    await feed.flush()
            if not unread.is_set():
                raise


class _Reporter:
    """Says once why the feed waits, and not at each attempt."""

    def __init__(self) -> None:
        self._said = ""

    def __call__(self, error: Exception) -> None:
        if (text := str(error)) != self._said:
            self._said = text
            print_error(f"{text}; trying again")


def _access_of(target: NodeAddress) -> NodeAccess:
    """Raises ConfigError for files that are wrong."""
    access = target.access
    context = None
    if access.wants_tls and not target.host.startswith("/"):
        from replicad.cli.nodes.tls import context_of

        context = context_of(access)
    password = None
    if access.password_file is not None:
        from replicad.net.secrets import read_secret

        password = read_secret(access.password_file)
    return NodeAccess(
        host=target.host,
        port=target.port,
        tls=False if access.tls is False else context,
        user=access.user,
        password=password,
    )

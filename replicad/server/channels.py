"""Publish and subscribe, for what the server itself says: that another node is primary now.

    publish(channel, message) --> those of the channel, then those of patterns that match --> their `messages`

A message waits in its client until no reply is held there, and goes behind the replies. Clients may subscribe
to any name, but publish nothing. What one may subscribe to is bounded. Belongs to the event loop.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from replicad.server.glob import Matcher, compile_glob

SUBSCRIPTIONS_MAX = 64
"""Channels and patterns of one client: for those that follow a failover it is one or two."""
NAME_BYTES_MAX = 256
_BYTES_OF_EACH = 1024
_BYTES_OF_A_BYTE = 32
"""About what a subscription takes of memory, and each byte of its name: a pattern is compiled."""

Message = tuple[bytes, ...]
"""Its kind, the pattern where there is one, the channel and what is said."""


class Subscriber(Protocol):
    @property
    def messages(self) -> list[Message]: ...


class Subscriptions:
    """Who has subscribed to which names of one kind, in the order in which they did."""

    def __init__(self) -> None:
        self.clients: dict[bytes, dict[Subscriber, None]] = {}
        self._names: dict[Subscriber, dict[bytes, None]] = {}

    def names(self, client: Subscriber) -> tuple[bytes, ...]:
        return tuple(self._names.get(client, ()))

    def count(self, client: Subscriber) -> int:
        return len(self._names.get(client, ()))

    def add(self, client: Subscriber, name: bytes) -> None:
        self._names.setdefault(client, {})[name] = None
        self.clients.setdefault(name, {})[client] = None

    def remove(self, client: Subscriber, name: bytes) -> None:
        names = self._names.get(client, {})
        if name not in names:
            return
        del names[name], self.clients[name][client]
        if not names:
            del self._names[client]
        if not self.clients[name]:
            del self.clients[name]


class Patterns(Subscriptions):
    """The same, with what matches."""

    def __init__(self) -> None:
        super().__init__()
        self._matchers: dict[bytes, Matcher | None] = {}

    def add(self, client: Subscriber, name: bytes) -> None:
        if name not in self._matchers:
            self._matchers[name] = compile_glob(name)
        super().add(client, name)

    def remove(self, client: Subscriber, name: bytes) -> None:
        super().remove(client, name)
        if name not in self.clients:
            self._matchers.pop(name, None)

    def matching(self, channel: bytes) -> list[bytes]:
        return [name for name, matches in self._matchers.items() if matches is None or matches(channel)]


class Channels:
    def __init__(self) -> None:
        self.channels = Subscriptions()
        self.patterns = Patterns()

    def count(self, client: Subscriber) -> int:
        """How many channels and patterns a client has subscribed to."""
        return self.channels.count(client) + self.patterns.count(client)

    def takes(self, client: Subscriber, kind: Subscriptions, names: Iterable[bytes]) -> bool:
        """Whether a client may have all of these as well."""
        added = set(names).difference(kind.names(client))
        is_short = all(len(name) <= NAME_BYTES_MAX for name in added)
        return is_short and self.count(client) + len(added) <= SUBSCRIPTIONS_MAX

    def forget(self, client: Subscriber) -> None:
        for kind in (self.channels, self.patterns):
            for name in kind.names(client):
                kind.remove(client, name)
        client.messages.clear()

    def publish(self, channel: bytes, message: bytes) -> list[Subscriber]:
        """Gives the message to all that hear the channel, and returns them; one that hears it twice gets it
        twice, as in Redis."""
        heard: dict[Subscriber, None] = {}
        for client in self.channels.clients.get(channel, ()):
            client.messages.append((b"message", channel, message))
            heard[client] = None
        for pattern in self.patterns.matching(channel):
            for client in self.patterns.clients[pattern]:
                client.messages.append((b"pmessage", pattern, channel, message))
                heard[client] = None
        return list(heard)

    def size_bytes(self, client: Subscriber) -> int:
        """About what it takes of memory, with what waits for it."""
        names = self.channels.names(client) + self.patterns.names(client)
        waiting = sum(sum(map(len, each)) for each in client.messages)
        return waiting + sum(_BYTES_OF_EACH + _BYTES_OF_A_BYTE * len(name) for name in names)

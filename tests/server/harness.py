"""A server in the test's process: its own thread with its own loop, over any store."""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import redis
import uvloop

from replicad.errors import ConfigError, CorruptionError, InvalidArgument, RoleRefused
from replicad.net.addresses import Address
from replicad.net.doors import CLEAR, Door
from replicad.replication.policy.synchronous import parse_rule
from replicad.replication.primary.feed_slots import FeedSlots
from replicad.replication.primary.waits import Acknowledged, Waits
from replicad.replication.traffic import Traffic
from replicad.server import ReplicaView, RespServer, SentinelView, ServerOptions
from replicad.server.access.login import Login
from replicad.server.interfaces import Failover

DEADLINE_SECONDS = 10.0


@dataclass
class FakeNode:
    """What a daemon would know."""

    role: Literal["primary", "replica"] = "primary"
    is_writable: bool = True
    primary_address: tuple[str, int] | None = None
    link_state: str = "connected"
    followers: list[ReplicaView] = field(default_factory=list)
    traffic: Traffic = field(default_factory=Traffic)
    primary_heard_seconds: float | None = None

    held: bool = False
    doubting: bool = False
    promoted: list[bool] = field(default_factory=list)
    paused: tuple[int | None, int | None] | None = None

    def holds_writes(self) -> bool:
        return self.held or self.doubting

    def holds_answers(self) -> bool:
        return self.doubting

    async def promote(self, *, force: bool) -> str:
        if self.role == "primary":
            raise RoleRefused("it takes writes already")
        self.promoted.append(force)
        return ""

    async def follow(self, host: str, port: int) -> None:
        self.role, self.is_writable, self.primary_address = "replica", False, (host, port)

    async def rejoin(self, host: str | None, port: int) -> str:
        raise RoleRefused(f"nothing is at {host}:{port}")

    async def pause_replica(self, *, sequence: int | None, time_us: int | None) -> dict[str, Any]:
        if self.role == "primary":
            raise InvalidArgument("this node is a primary: only a replica can stand still")
        self.paused = (sequence, time_us)
        return {"sequence": sequence, "time_us": time_us, "applied_sequence": 7}

    async def resume_replica(self) -> bool:
        paused, self.paused = self.paused, None
        return paused is not None

    async def switch_over(self, target: str | None, *, timeout_seconds: float | None) -> str:
        raise RoleRefused(f"nobody is {target}")

    def cancel_switchover(self) -> bool:
        return False

    def replicas(self) -> list[ReplicaView]:
        return self.followers

    failover: Failover | None = None
    view: SentinelView | None = None

    def sentinel(self) -> SentinelView | None:
        return self.view

    copy_bytes_per_second: int = 0

    def throttle_copies(self, bytes_per_second: int) -> None:
        self.copy_bytes_per_second = bytes_per_second

    def drop_slot(self, node_id: bytes) -> bool:
        return False

    feed_slots: FeedSlots | None = None
    reads_refused: str | None = None
    stale_because: str | None = None
    acknowledged: list[Acknowledged] = field(default_factory=list)
    rule: str = ""

    def __post_init__(self) -> None:
        self.waits = Waits(
            lambda: self.acknowledged, lambda through: None, rule=parse_rule(self.rule), timeout_seconds=0.3
        )

    reloads: list[dict[str, Any] | ConfigError] = field(default_factory=list)
    """What the next ones lead to."""

    async def reload(self) -> dict[str, Any]:
        found = self.reloads.pop(0)
        if isinstance(found, ConfigError):
            raise found
        return found

    def links(self) -> list[dict[str, Any]]:
        return []

    changed: dict[str, str] = field(default_factory=dict)
    """By CONFIG SET; "no" is what it does not take."""
    keeps_settings: bool = True

    def settings(self) -> dict[str, str]:
        return {"clients.slow_seconds": "0.01", "store.compression": "lz4"} | self.changed

    def change_settings(self, texts: Mapping[str, str]) -> None:
        if "no" in texts.values():
            raise ConfigError("it does not take no")
        self.changed |= texts

    async def keep_settings(self) -> Path:
        if not self.keeps_settings:
            raise ConfigError("nothing was changed")
        return Path("settings.toml")

    backups: list[tuple[str | None, bool, bytes]] = field(default_factory=list)

    async def backup(self, target: str | None, *, flush: bool, metadata: bytes) -> dict[str, Any]:
        self.backups.append((target, flush, metadata))
        return {"id": len(self.backups)}

    def stop_backup(self) -> bool:
        return bool(self.backups)

    corruptions: list[CorruptionError] = field(default_factory=list)
    repairs: list[str] = field(default_factory=list)

    def found_corruption(self, error: CorruptionError) -> None:
        self.corruptions.append(error)

    def order_repair(self, reason: str) -> None:
        self.repairs.append(reason)

    def status(self) -> dict[str, Any]:
        return {"role": self.role, "writable": self.is_writable}


class RunningServer:
    def __init__(
        self,
        store: Any,
        node: FakeNode | None = None,
        *,
        on_uvloop: bool = False,
        door: Door = CLEAR,
        login: Login | None = None,
        **options: Any,
    ) -> None:
        self.store = store
        self.node = node or FakeNode()
        self.shutdowns = 0
        self.server: RespServer
        self.port = 0
        self.door = door
        self._login = login
        self._options = ServerOptions(**options)
        self._ready = threading.Event()
        self._stop: Callable[[], None] = lambda: None
        run = uvloop.run if on_uvloop else asyncio.run
        self._thread = threading.Thread(target=lambda: run(self._serve()))
        self._thread.start()
        if not self._ready.wait(DEADLINE_SECONDS):
            raise TimeoutError("the server did not start in time")

    async def _serve(self) -> None:
        loop = asyncio.get_running_loop()
        stopped = asyncio.Event()

        def stop() -> None:
            loop.call_soon_threadsafe(stopped.set)

        self._stop = stop
        self.server = RespServer(
            self.store, self.node, shutdown=self._count_shutdown, options=self._options, login=self._login
        )
        _, self.port = await self.server.start(Address("127.0.0.1", 0), self.door)
        self._ready.set()
        await stopped.wait()
        await self.server.close(drain_seconds=2.0)

    def _count_shutdown(self) -> None:
        self.shutdowns += 1

    def connect(self) -> RawClient:
        return RawClient(self.port, None if self.door.contexts is None else self.door.contexts.client)

    def redis(self) -> redis.Redis:
        tls = {"ssl": True, "ssl_cert_reqs": "none"} if self.door.is_tls else {}
        return redis.Redis(port=self.port, socket_timeout=DEADLINE_SECONDS, **tls)

    def call(self, function: Callable[[], None]) -> None:
        """Calls it on the server's loop."""
        self.server.state.loop.call_soon_threadsafe(function)

    def close(self) -> None:
        self._stop()
        self._stop = lambda: None
        self._thread.join(DEADLINE_SECONDS)
        assert not self._thread.is_alive()
        self.store.close()


class RawClient:
    """A socket, and words."""

    def __init__(self, port: int, tls: ssl.SSLContext | None = None) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=DEADLINE_SECONDS)
        if tls is not None:
            self.socket = tls.wrap_socket(self.socket)

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def command(self, *arguments: bytes | str) -> None:
        self.send(encode_request(*arguments))

    def read(self, expected: bytes) -> None:
        """Reads as many bytes as expected and compares."""
        got = b""
        while len(got) < len(expected):
            chunk = self.socket.recv(len(expected) - len(got))
            if not chunk:
                break
            got += chunk
        assert got == expected

    def read_line(self) -> bytes:
        line = b""
        while not line.endswith(b"\r\n"):
            chunk = self.socket.recv(1)
            if not chunk:
                break
            line += chunk
        return line

    def read_to_end(self) -> bytes:
        parts = []
        try:
            while chunk := self.socket.recv(65536):
                parts.append(chunk)
        except (ConnectionResetError, ssl.SSLError):
            pass
        return b"".join(parts)

    def has_nothing_to_read(self, seconds: float = 0.05) -> bool:
        """Whether the server stays silent for that long."""
        self.socket.settimeout(seconds)
        try:
            # TLS cannot look at what it does not take.
            return not self.socket.recv(1, 0 if isinstance(self.socket, ssl.SSLSocket) else socket.MSG_PEEK)
        except TimeoutError:
            return True
        finally:
            self.socket.settimeout(DEADLINE_SECONDS)

    def reset(self) -> None:
        """Ends the connection without a word."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def close(self) -> None:
        self.socket.close()

    def __enter__(self) -> RawClient:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def encode_request(*arguments: bytes | str) -> bytes:
    raw = [argument.encode() if isinstance(argument, str) else argument for argument in arguments]
    return b"*%d\r\n" % len(raw) + b"".join([b"$%d\r\n%b\r\n" % (len(each), each) for each in raw])

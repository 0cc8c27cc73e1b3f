"""A configuration that is read again: each key that changes at run time reaches its part, or none does."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

import replicad.daemon.program
from replicad.daemon.config import NodeConfig, load_primary, load_replica
from replicad.daemon.config.run_time import AT_RUN_TIME
from replicad.daemon.parts import NodeParts
from replicad.daemon.process import logs
from replicad.daemon.program import NodeProgram
from replicad.daemon.reload import ConfigSource, Reload, Swap
from replicad.errors import ConfigError
from replicad.replication.replica.delayed_apply import DelayedApply
from replicad.server.server import RespServer
from tests.support.nodes.programs import PATIENT, primary, rewrite, started_program, streams
from tests.support.waiting import until


class Written:
    """The flags that stand for what an operator wrote last."""

    def __init__(self, load: Callable[..., NodeConfig], **flags: Any) -> None:
        self._load = load
        self._flags = PATIENT | {"listen": ":0"} | flags

    def read(self, **changes: Any) -> NodeConfig:
        self._flags |= changes
        return self._load(None, **self._flags)


@contextlib.asynccontextmanager
async def running(written: Written) -> AsyncIterator[NodeProgram]:
    async with started_program(written.read(), written.read) as program:
        yield program


@pytest.fixture
def written(tmp_path: Path) -> Written:
    return Written(load_primary, data=tmp_path / "p", replication=":0")


def applied(node: NodeParts) -> DelayedApply:
    apply = node.open_store.apply
    assert apply is not None
    return apply


def limits(node: NodeParts) -> Any:
    server = node.clients._server
    assert isinstance(server, RespServer)
    return server.state.options


def database(node: NodeParts) -> Any:
    assert node.store is not None
    return node.store.options


def feed(node: NodeParts) -> Any:
    assert node.open_store.feed is not None
    return node.open_store.feed


def hold(node: NodeParts) -> Any:
    assert node.data.archiving.hold is not None
    return node.data.archiving.hold


def idle_seconds(node: NodeParts) -> Any:
    assert node.peers.kept_seconds == node.data.slots.limits.idle_seconds_max
    return node.peers.kept_seconds


def checks(node: NodeParts) -> Any:
    return node.verification.verifier._options


def answers(node: NodeParts) -> Any:
    return node.verification._answering_rate


def backups(node: NodeParts) -> Any:
    return node.data.backups._options


REACHED: dict[str, tuple[Any, Callable[[NodeParts], Any]]] = {
    # A new value, and where the node has it.
    "store.disk_reserve_bytes": (1, lambda node: database(node).disk_reserve_bytes),
    "store.log_retention_bytes": (2, lambda node: database(node).log_retention_bytes),
    "store.log_retention_seconds": (3.0, lambda node: database(node).log_retention_seconds),
    "store.log_disk_floor_bytes": (4, lambda node: database(node).log_disk_floor_bytes),
    "link.synchronous": ("any 1", lambda node: str(node.served.waits.rule or "")),
    "link.synchronous_level": ("applied", lambda node: node.served.waits.level.value),
    "link.synchronous_seconds_max": (5.0, lambda node: node.served.waits.timeout_seconds),
    "link.stale_reads": ("refuse", lambda node: node.served._options.stale_reads),
    "link.max_staleness_seconds": (6.0, lambda node: node.served._options.max_staleness_seconds),
    "link.apply_delay_seconds": (0.5, lambda node: applied(node).rules.delay_us / 1e6),
    "link.apply_delay_bytes_max": (11, lambda node: applied(node).bytes_max),
    "link.copy_bytes_per_second": (7_000, lambda node: node.served.copy_bytes_per_second),
    "link.slot_log_bytes_max": (8, lambda node: node.data.slots.limits.log_bytes_max),
    "link.slot_idle_seconds_max": (9.0, idle_seconds),
    "link.copy_keep_seconds": (10.0, lambda node: feed(node)._options.copy_keep_seconds),
    "verification.interval_seconds": (
        11.0,
        lambda node: checks(node).interval_seconds,
    ),
    "verification.bytes_per_second": (
        12_000,
        lambda node: answers(node).bytes_per_second,
    ),
    "verification.section_seconds": (13.0, lambda node: checks(node).section_seconds),
    "verification.differences_max": (14, lambda node: checks(node).differences_max),
    "verification.on_divergence": ("serve", lambda node: node.verification._options.on_divergence),
    "verification.repair": ("ordered", lambda node: node.verification._options.repair),
    "clients.clients_max": (15, lambda node: limits(node).clients_max),
    "clients.buffered_bytes_max": (16_000_000, lambda node: limits(node).buffered_bytes_max),
    "clients.output_seconds_max": (17.0, lambda node: limits(node).output_seconds_max),
    "clients.input_seconds_max": (18.0, lambda node: limits(node).input_seconds_max),
    "clients.slow_seconds": (0.5, lambda node: limits(node).slow_seconds),
    "backup.target": ("/nowhere/else", lambda node: backups(node).target),
    "backup.keep": (19, lambda node: backups(node).keep),
    "backup.max_background_operations": (
        20,
        lambda node: backups(node).max_background_operations,
    ),
    "backup.read_bytes_per_second": (21.0, lambda node: backups(node).read_bytes_per_second),
    "backup.write_bytes_per_second": (22.0, lambda node: backups(node).write_bytes_per_second),
    "backup.catch_up_from": ("/nowhere/old", lambda node: node.link._config.backup.catch_up_from),
    "backup.archive_seconds": (23.0, lambda node: node.data.archiving._options.archive_seconds),
    "backup.archive_hold_bytes_max": (24, lambda node: hold(node).bytes_max),
    "backup.keep_log_seconds": (25.0, lambda node: node.data.archiving._options.keep_log_seconds),
    "backup.keep_log_backups": (26, lambda node: node.data.archiving._options.keep_log_backups),
    "log.level": ("warning", lambda node: _levels[-1] if _levels else "info"),
}

_levels: list[str] = []


async def test_every_key_that_changes_at_run_time_reaches_its_part(
    written: Written, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One after the other: the part has the new value, and only that key is named."""
    assert set(REACHED) == {
        f"{section}.{name}"
        for section, names in AT_RUN_TIME.items()
        for name in names
        if section not in ("", "tls")  # Users and certificates: test_secret_files.py
    }
    monkeypatch.setattr(logs, "reconfigure", lambda config: _levels.append(config.level))
    written.read(backup__target=str(tmp_path / "b"), backup__archive_log=True)
    async with running(written) as program:
        for key, (value, found) in REACHED.items():
            assert found(program.parts) != value, key
            written.read(**{key.replace(".", "__"): value})
            document = await program.parts.reload.reload()
            assert document == {"changed": [key], "needs_restart": []}
            assert found(program.parts) == value, key


async def test_a_wrong_configuration_changes_nothing(written: Written) -> None:
    """The node goes on with the old one, and the next right one is taken."""
    async with running(written) as program:
        reload = program.parts.reload
        before = reload.config
        with pytest.raises(ConfigError, match="threads_max = 0: it takes a whole number, above 0"):
            written.read(clients__clients_max=5, clients__threads_max=0)
        with pytest.raises(ConfigError, match="threads_max = 0"):
            await reload.reload()
        assert reload.config is before
        assert limits(program.parts) == before.clients

        written.read(clients__threads_max=5)
        assert await reload.reload() == {
            "changed": ["clients.clients_max"],
            "needs_restart": ["clients.threads_max"],
        }
        assert (limits(program.parts).clients_max, limits(program.parts).threads_max) == (5, 4)
        assert await reload.reload() == {"changed": [], "needs_restart": ["clients.threads_max"]}


async def test_a_part_that_refuses_keeps_all_others_from_changing(written: Written) -> None:
    """Every part prepares before the first one swaps."""
    swapped: list[str] = []
    refusal: list[ConfigError] = [ConfigError("tls.certificate: it has expired")]
    reload = Reload(written.read(), ConfigSource(written.read, rewrite))

    def refusing(config: NodeConfig) -> Swap:
        if refusal:
            raise refusal.pop()
        return lambda: swapped.append("second")

    reload.register(lambda config: lambda: swapped.append(f"first {config.clients.clients_max}"))
    reload.register(refusing)
    written.read(clients__clients_max=5)
    with pytest.raises(ConfigError, match="expired"):
        await reload.reload()
    assert swapped == []
    assert (await reload.reload())["changed"] == ["clients.clients_max"]
    assert swapped == ["first 5", "second"]


async def test_a_node_that_was_given_its_configuration_has_none_to_read(written: Written) -> None:
    """A program that makes a node itself may leave that out."""
    with pytest.raises(ConfigError, match="does not know where its configuration came from"):
        await Reload(written.read(), None).reload()


async def test_an_ordered_limit_of_copies_outlives_a_reload_of_other_keys(written: Written) -> None:
    """`REPLICAD.THROTTLE` counts until the configured limit is another one."""
    async with running(written) as program:
        served = program.parts.served
        served.throttle_copies(123_000)
        written.read(clients__clients_max=5)
        await program.parts.reload.reload()
        assert served.copy_bytes_per_second == 123_000
        written.read(link__copy_bytes_per_second=456_000)
        await program.parts.reload.reload()
        assert served.copy_bytes_per_second == 456_000


async def test_a_value_is_set_until_the_next_reading_or_kept(written: Written, tmp_path: Path) -> None:
    """A reload goes back to what is written; what is kept outlives it."""
    async with running(written) as program:
        reload, served = program.parts.reload, program.parts.served
        with pytest.raises(ConfigError, match="has changed nothing"):
            await served.keep_settings()
        served.change_settings({"clients.clients_max": "5", "log.level": "warning"})
        assert limits(program.parts).clients_max == 5
        assert served.settings()["clients.clients_max"] == "5"
        with pytest.raises(ConfigError):
            served.change_settings({"clients.clients_max": "6", "clients.threads_max": "6"})
        assert limits(program.parts).clients_max == 5
        assert (await reload.reload())["changed"] == ["clients.clients_max", "log.level"]
        assert limits(program.parts).clients_max == 10_000

        served.change_settings({"clients.clients_max": "7"})
        assert await served.keep_settings() == tmp_path / "p" / "state" / "settings.toml"
        assert await reload.reload() == {"changed": [], "needs_restart": []}
        assert limits(program.parts).clients_max == 7


async def test_what_is_set_while_the_files_are_read_is_not_lost(written: Written) -> None:
    """The reading counts for what it found; the node and what it says of itself agree."""
    async with running(written) as program:
        node = program.parts
        reading = asyncio.ensure_future(node.reload.reload())
        await asyncio.sleep(0)
        node.served.change_settings({"clients.clients_max": "5"})
        await reading
        assert limits(node).clients_max == node.reload.config.clients.clients_max == 10_000


async def test_what_is_opened_later_has_the_new_values(written: Written) -> None:
    """A bootstrap exchanges the store, its feed and the clients' server."""
    async with running(written) as program:
        node = program.parts
        written.read(
            clients__clients_max=5, store__log_retention_bytes=6, link__synchronous="any 1", backup__keep=7
        )
        await node.reload.reload()
        await node.data._close_store()
        await node.clients.close()
        await node.data.open("owner")
        assert limits(node).clients_max == 5
        assert database(node).log_retention_bytes == 6
        assert str(feed(node).waits.rule) == "any 1"


async def test_a_replica_that_follows_takes_over_when_reads_are_refused(tmp_path: Path) -> None:
    """Its link goes on."""
    async with primary(tmp_path / "p") as node:
        upstream = {"primary": node.addresses.replication, "link__free_bytes_min": 0}
        written = Written(load_replica, data=tmp_path / "r", **upstream)
        async with running(written) as program:
            replica = program.parts
            await until(lambda: streams(replica, b"p"))
            follower = replica.link.follower
            assert follower is not None and replica.served.reads_refused is None
            written.read(link__max_staleness_seconds=2.0)
            await replica.reload.reload()
            assert replica.link.follower is follower
            assert follower._options.max_staleness_seconds == 2.0
            assert streams(replica, b"p")


async def test_a_hangup_reads_again_and_tells_the_service_manager(
    written: Written, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reload begins with RELOADING and the time, and has ended when the node is ready again; a wrong
    configuration is said in the status."""
    told: list[tuple[str, ...]] = []
    async with running(written) as program:
        monkeypatch.setattr(replicad.daemon.program, "notify", lambda *texts: told.append(texts))
        before_us = int(program.env.clock.monotonic() * 1e6)
        written.read(clients__clients_max=5)
        program.hang_up()
        await until(lambda: len(told) == 2)
        (reloading, since), ended = told
        assert reloading == "RELOADING=1"
        assert int(since.removeprefix("MONOTONIC_USEC=")) >= before_us
        assert ended == ("READY=1", "STATUS=configuration read again: 1 key changed, 0 need a restart")

        with contextlib.suppress(ConfigError):
            written.read(clients__clients_max=0)
        program.hang_up()
        await until(lambda: len(told) == 4)
        assert told[3][1].startswith("STATUS=the old configuration stays: --clients-max: ")
        assert limits(program.parts).clients_max == 5

"""CONFIG SET and REWRITE: one value of a running node, and the file that keeps it."""

from __future__ import annotations

import errno
import os
import re
from pathlib import Path
from typing import Any

import pytest

from replicad.daemon.config import PrimaryConfig, ReplicaConfig, Sources, load, load_primary
from replicad.daemon.config.keys import keys_of
from replicad.daemon.config.setting import shown_values, values_of, with_values
from replicad.daemon.config.settings_file import read_settings, settings_file
from replicad.env import LocalFileSystem
from replicad.errors import ConfigError


def set_on(config: PrimaryConfig, **texts: str) -> PrimaryConfig:
    named = {name.replace("__", "."): text for name, text in texts.items()}
    return with_values(config, values_of(named, PrimaryConfig))


def test_values_are_written_as_in_the_environment() -> None:
    """Numbers and strings; the others stay."""
    config = load_primary(None, data="/d")
    changed = set_on(config, clients__clients_max="1_000", link__synchronous="any 1", log__level="debug")
    assert (changed.clients.clients_max, changed.link.synchronous, changed.log.level) == (
        1000,
        "any 1",
        "debug",
    )
    assert changed.clients.threads_max == config.clients.threads_max


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("clients.clients_mx", "5", "clients.clients_mx is not a key: did you mean clients.clients_max?"),
        ("save", "", "save is not a key"),
        ("clients.clients_max", "0", "clients.clients_max = 0: it takes a whole number, above 0"),
        ("clients.clients_max", "many", "it takes a whole number"),
        ("clients.clients_max", "9" * 5000, "it takes a whole number"),
        ("clients.slow_seconds", "1e308", "it takes at most 9_223_372_036_854_775_807"),
        ("link.copy_bytes_per_second", "1" + "0" * 400, "it takes at most"),
        ("backup.read_bytes_per_second", "1e-300", "at least 1"),
        ("k" * 1000, "1", "k" * 80 + "… is not a key"),
        ("clients.clients_max", "", "it takes a whole number"),
        ("link.synchronous", "any x", "link.synchronous"),
        ("clients.threads_max", "5", "is not set by a command: change the configuration file and restart"),
        ("listen", ":1", "is not set by a command: change the configuration file and restart"),
        ("backup.target", "/etc", "is not set by a command: change the configuration file and reload"),
        ("tls.cert_file", "/etc/x", "is not set by a command: change the configuration file and reload"),
        ("users.a.roles", "[]", "is not set by a command: change the configuration file and reload"),
        ("store.families.f.compression", "none", "is not set by a command"),
    ],
)
def test_what_cannot_be_set_is_said(name: str, text: str, said: str) -> None:
    """With what to do instead."""
    with pytest.raises(ConfigError) as refused:
        set_on(load_primary(None, data="/d"), **{name.replace(".", "__"): text})
    assert said in str(refused.value)


def test_a_key_that_need_not_be_set_is_taken_back() -> None:
    """By an empty value, as CONFIG GET shows it."""
    config = set_on(load_primary(None, data="/d"), backup__keep="3", store__log_retention_seconds="60")
    assert (config.backup.keep, config.store.log_retention_seconds) == (3, 60)
    config = set_on(config, backup__keep="", store__log_retention_seconds="")
    assert config.backup.keep is None and config.store.log_retention_seconds is None


def test_no_path_and_no_address_is_set_by_a_command() -> None:
    """Who may send commands does not choose which files a node reads and writes."""
    config = load_primary(None, data="/d")
    for key in keys_of(PrimaryConfig):
        if key.is_named or ("Path" not in str(key.hint) and "Address" not in str(key.hint)):
            continue
        with pytest.raises(ConfigError, match="is not set by a command"):
            set_on(config, **{"__".join(key.path): "/x"})


def test_every_key_but_secrets_is_shown() -> None:
    """As plain text; what is not set is empty."""
    shown = shown_values(load_primary(None, data="/d", listen=":7"))
    assert shown["listen"] == "127.0.0.1:7" and shown["http"] == "" and shown["data"] == "/d"
    assert shown["store.memtable_bytes"] == "67108864" and shown["insecure"] == "false"
    assert not any(name.startswith(("users", "tls")) for name in shown)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    (tmp_path / "state").mkdir()
    return tmp_path


def rewrite(sources: Sources, data: Path, **texts: Any) -> Path:
    named = {name.replace("__", "."): text for name, text in texts.items()}
    config = load_primary(None, data=data)
    return sources.rewrite(LocalFileSystem(), config, values_of(named, PrimaryConfig))


def test_what_is_kept_counts_over_the_file_and_below_the_environment(data: Path, tmp_path: Path) -> None:
    """Later rewrites add to it; each value names the line where it stands."""
    file = tmp_path / "node.toml"
    file.write_text(f'data = "{data}"\n[clients]\nclients_max = 1\nslow_seconds = 1\n')
    sources = Sources(file=file)
    kept = rewrite(sources, data, clients__clients_max="2", link__synchronous="any 1")
    assert kept == settings_file(data)
    assert rewrite(sources, data, clients__slow_seconds="0.5", clients__clients_max="3") == kept

    loaded = load(PrimaryConfig, sources)
    assert (loaded.config.clients.clients_max, loaded.config.clients.slow_seconds) == (3, 0.5)
    assert loaded.config.link.synchronous == "any 1"
    assert str(loaded.settings["clients", "clients_max"].origin).startswith(f"{kept}:")
    over = Sources(file=file, environment={"REPLICAD_CLIENTS__CLIENTS_MAX": "4"})
    assert load(PrimaryConfig, over).config.clients.clients_max == 4
    assert (
        over.kind() is PrimaryConfig and Sources(file=file, flags={"primary": ":1"}).kind() is ReplicaConfig
    )


def test_what_would_not_count_is_not_kept(data: Path) -> None:
    """A flag or a variable of the start wins each time, so the message names it."""
    sources = Sources(environment={"REPLICAD_CLIENTS__CLIENTS_MAX": "4"}, flags={"data": data})
    with pytest.raises(ConfigError, match=r"clients\.clients_max comes from REPLICAD_CLIENTS__CLIENTS_MAX"):
        rewrite(sources, data, clients__clients_max="2")
    assert read_settings(data) == []


def test_what_is_kept_without_room_leaves_nothing_behind(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The old file stays."""
    sources = Sources(flags={"data": data})
    kept = rewrite(sources, data, clients__clients_max="2")

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("replicad.env.local.LocalAppendFile.append", full)
    with pytest.raises(OSError, match="No space left"):
        rewrite(sources, data, clients__clients_max="3")
    assert [path.name for path in kept.parent.iterdir()] == ["settings.toml"]
    assert "clients_max = 2" in kept.read_text()


def test_a_file_that_somebody_broke_is_named(data: Path) -> None:
    """With the line, as any other file of the configuration."""
    settings_file(data).write_text("clients.clients_max = 5\nclients.nothing = 1\n")
    with pytest.raises(ConfigError, match=r"settings.toml:2: clients.nothing is not a key"):
        load_primary(None, data=data)
    settings_file(data).write_text("x =")
    with pytest.raises(ConfigError, match=r"settings.toml: "):
        load_primary(None, data=data)


@pytest.mark.parametrize(
    "key",
    [
        "primary = '127.0.0.1:1'",
        "listen = '127.0.0.1:1'",
        "store.durability = 'async'",
        "backup.target = '/srv/b'",
        "users.a.roles = ['admin']",
        "log.format = 'json'",
    ],
)
def test_a_key_that_no_command_sets_is_refused_by_every_reader(data: Path, key: str) -> None:
    """With file and line: by a check, which looks for the kind of node first, at a start, at a reload and by
    CONFIG REWRITE."""
    settings_file(data).write_text(f"clients.clients_max = 5\n{key}\n")
    sources = Sources(flags={"data": data})
    named = rf"settings.toml:2: {re.escape(key.split(' ')[0])} is not set by a command"
    for read in (
        sources.kind,
        lambda: load(PrimaryConfig, sources),
        lambda: load(ReplicaConfig, Sources(flags={"data": data, "primary": ":1"})),
        lambda: rewrite(sources, data, clients__clients_max="2"),
    ):
        with pytest.raises(ConfigError, match=named):
            read()


def test_a_settings_file_that_is_no_file_is_told_so(tmp_path: Path) -> None:
    """A FIFO would be read for ever."""
    settings_file(tmp_path).parent.mkdir(parents=True, exist_ok=True)
    os.mkfifo(settings_file(tmp_path))
    with pytest.raises(ConfigError, match="is not a regular file"):
        read_settings(tmp_path)

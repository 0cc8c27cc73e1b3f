"""The layers of a configuration: the later one wins, key by key, and each value knows where it stands."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from replicad.daemon.config import PrimaryConfig, ReplicaConfig, Sources, load, load_primary, try_to_load
from replicad.daemon.config.keys import KeyPath, keys_of
from replicad.daemon.config.variables import NOT_KEYS, PREFIX
from replicad.errors import ConfigError
from replicad.net.addresses import Address
from replicad.options import FamilyOptions

REPOSITORY = Path(__file__).resolve().parents[3]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file that sets what the layers above it set again."""
    (tmp_path / "conf.d").mkdir()
    file = tmp_path / "node.toml"
    file.write_text(
        'data = "/d"\nlisten = ":1"\n[link]\nidle_seconds = 11\nack_seconds = 1\nsend_seconds = 1\n'
    )
    return file


def fragment(file: Path, name: str, text: str) -> None:
    (file.parent / "conf.d" / name).write_text(text)


def test_every_layer_wins_over_those_before_it(file: Path) -> None:
    """File, then conf.d by name, then the environment, then flags; tables are merged key by key."""
    fragment(file, "20.toml", "[link]\nack_seconds = 3\nconnect_seconds = 3\n")
    fragment(
        file, "10.toml", 'listen = ":2"\n[link]\nack_seconds = 2\nconnect_seconds = 2\nsend_seconds = 2\n'
    )
    fragment(file, "30.off", "nothing = 1\n")
    fragment(file, ".40.toml", "nothing = 1\n")
    environment = {"REPLICAD_LINK__CONNECT_SECONDS": "4", "REPLICAD_STORE__DURABILITY": "async"}
    loaded = load(PrimaryConfig, Sources(file=file, environment=environment, flags={"listen": ":5"}))
    link = loaded.config.link
    assert loaded.config.listen.port == 5
    assert (link.idle_seconds, link.send_seconds, link.ack_seconds, link.connect_seconds) == (11, 2, 3, 4)
    assert loaded.config.store.durability == "async"

    fragments = file.parent / "conf.d"
    assert {path: str(setting.origin) for path, setting in loaded.settings.items()} == {
        ("data",): f"{file}:1",
        ("listen",): "--listen",
        ("link", "idle_seconds"): f"{file}:4",
        ("link", "send_seconds"): f"{fragments}/10.toml:5",
        ("link", "ack_seconds"): f"{fragments}/20.toml:2",
        ("link", "connect_seconds"): "REPLICAD_LINK__CONNECT_SECONDS",
        ("store", "durability"): "REPLICAD_STORE__DURABILITY",
    }


def test_a_wrong_value_that_a_later_layer_replaces_does_no_harm(file: Path) -> None:
    """An unknown key does, wherever it stands."""
    fragment(file, "1.toml", 'listen = "nonsense"\n')
    assert load_primary(file, listen=":7").listen.port == 7
    fragment(file, "1.toml", 'lisen = "nonsense"\n')
    with pytest.raises(ConfigError, match=r"conf\.d/1\.toml:1: lisen is not a key: did you mean listen\?"):
        load_primary(file, listen=":7")


def test_all_that_is_wrong_is_said_at_once(file: Path) -> None:
    """Each with its place, key and value."""
    fragment(
        file, "1.toml", '[store]\ndurability = "maybe"\nmemtable_byte = 1\n\n\n[link]\nack_seconds = "x"\n'
    )
    environment = {"REPLICAD_STORE__SEGMENT_BYTES": "64MiB", "REPLICAD_LISTN": ":1"}
    loaded, wrong = try_to_load(PrimaryConfig, Sources(file=file, environment=environment))
    assert loaded is None
    one = f"{file.parent}/conf.d/1.toml"
    assert wrong == [
        f"{one}:3: store.memtable_byte is not a key: did you mean memtable_bytes?",
        "REPLICAD_LISTN: there is no such key: did you mean REPLICAD_LISTEN?",
        f'{one}:7: link.ack_seconds = "x": it takes a number of seconds, at least 0',
        f'{one}:2: store.durability = "maybe": it takes "sync" or "async"',
        'REPLICAD_STORE__SEGMENT_BYTES: store.segment_bytes = "64MiB": it takes a whole number of bytes, '
        "at least 4096",
    ]


def test_values_that_are_wrong_together_have_the_place_of_the_one_that_is_named(file: Path) -> None:
    """Each is right by itself."""
    fragment(file, "1.toml", "[link]\n\nidle_seconds = 0.5\n")
    with pytest.raises(ConfigError, match=r"1\.toml:3: link\.idle_seconds must be at least twice"):
        load_primary(file)


@pytest.mark.parametrize(
    ("variable", "text", "path", "value"),
    [
        ("REPLICAD_LISTEN", ":7000", ("listen",), ":7000"),
        ("REPLICAD_NAME", "12", ("name",), "12"),
        ("REPLICAD_STORE__MEMTABLE_BYTES", "134_217_728", ("store", "memtable_bytes"), 134_217_728),
        ("REPLICAD_LINK__SHIP", "durable", ("link", "ship"), "durable"),
        ("REPLICAD_LINK__ACK_SECONDS", "0.5", ("link", "ack_seconds"), 0.5),
        ("REPLICAD_TAKE_ROLE", "true", ("take_role",), True),
        ("REPLICAD_TAKE_ROLE", "yes", ("take_role",), "yes"),
        ("REPLICAD_BACKUP__KEEP", "1\n[link]\nship = 1", ("backup", "keep"), "1\n[link]\nship = 1"),
        (
            "REPLICAD_STORE__FAMILIES__LOGS__BLOCK_BYTES",
            "4096",
            ("store", "families", "logs", "block_bytes"),
            4096,
        ),
    ],
)
def test_a_variable_is_a_key(variable: str, text: str, path: KeyPath, value: Any) -> None:
    """Its value is TOML, or text where the key takes text."""
    (setting,) = Sources(environment={variable: text, "PATH": "/bin"}).read(PrimaryConfig)
    assert (setting.path, setting.value, str(setting.origin)) == (path, value, variable)


@pytest.mark.parametrize(
    ("variable", "said"),
    [
        ("REPLICAD_STORE_MEMTABLE_BYTES", "did you mean REPLICAD_STORE__MEMTABLE_BYTES?"),
        ("REPLICAD_STORE", "store is a table"),
        ("REPLICAD_STORE__CREATE_IF_MISSING", "there is no such key"),
        ("REPLICAD_CREATE", "there is no such key"),
        ("REPLICAD_", "there is no such key"),
        ("REPLICAD_LISTEN__PORT", "listen is not a table"),
    ],
)
def test_a_variable_without_a_key_is_refused(variable: str, said: str) -> None:
    """The message names the nearest one."""
    loaded, wrong = try_to_load(
        PrimaryConfig, Sources(environment={variable: "1"}, flags={"data": Path("/d")})
    )
    assert loaded is None
    assert len(wrong) == 1
    assert wrong[0].startswith(f"{variable}: ")
    assert said in wrong[0]


@pytest.mark.parametrize(
    ("variable", "text"),
    [
        *((name, "1") for name in sorted(NOT_KEYS)),
        ("REPLICAD_SERVICE_HOST", "10.0.0.1"),
        ("REPLICAD_PORT", "tcp://10.0.0.1:6380"),
        ("REPLICAD_PORT_6380_TCP_ADDR", "10.0.0.1"),
        ("REPLICAD_PRIMARY_SERVICE_PORT_REDIS", "6380"),
        ("REPLICAD_REPLICA_PORT_6380_TCP", "tcp://10.0.0.1:6380"),
        ("replicad_listen", ":1"),
    ],
)
def test_variables_of_others_are_left_alone(variable: str, text: str) -> None:
    """Kubernetes and Docker name a service's address after the service, which may be called replicad."""
    assert Sources(environment={variable: text}).read(PrimaryConfig) == []


def test_no_variable_of_this_repository_is_taken_for_a_key() -> None:
    """A test that runs a daemon hands its own environment on."""
    pattern = re.compile(rf'environ(?:\.get\(|\[|\.setdefault\()["\']({PREFIX}\w+)')
    used = {
        name
        for part in ("replicad", "tests", "bench", "deploy")
        for path in (REPOSITORY / part).rglob("*.py")
        for name in pattern.findall(path.read_text())
    }
    assert used
    assert used <= NOT_KEYS


def test_no_key_looks_like_a_variable_of_others() -> None:
    """Then it could not be set by the environment."""
    for key in keys_of(ReplicaConfig):
        variable = PREFIX + "__".join(key.path).upper()
        assert Sources(environment={variable: "1"}).read(ReplicaConfig), variable


def test_a_file_without_families_says_so(tmp_path: Path) -> None:
    """An empty table of families is not the same as none: none means those of the last opening."""
    file = tmp_path / "node.toml"
    file.write_text('data = "/d"\n[store]\n[link]\n')
    assert load_primary(file).store.families is None
    file.write_text('data = "/d"\n[store.families]\n')
    assert load_primary(file).store.families == {}
    (tmp_path / "conf.d").mkdir()
    (tmp_path / "conf.d" / "a.toml").write_text("[store.families.a]\nblock_bytes = 4096\n")
    assert load_primary(file).store.families == {"a": FamilyOptions(block_bytes=4096)}


def test_what_a_node_would_be_follows_from_its_primary(file: Path) -> None:
    """A primary's address in any layer makes a replica."""
    assert Sources(file=file).kind() is PrimaryConfig
    sources = Sources(file=file, environment={"REPLICAD_PRIMARY": ":6381"})
    assert sources.kind() is ReplicaConfig
    assert load(ReplicaConfig, sources).config.primary == Address("127.0.0.1", 6381)
    with pytest.raises(ConfigError, match=r"REPLICAD_PRIMARY: "):
        load(PrimaryConfig, sources)


def test_a_directory_that_cannot_be_read_is_named(file: Path) -> None:
    """Settings that are not read must not be taken for ones that are not there."""
    fragment(file, "1.toml", "")
    (file.parent / "conf.d" / "1.toml").unlink()
    (file.parent / "conf.d" / "1.toml").mkdir()
    with pytest.raises(ConfigError, match=r"conf\.d/1\.toml: Is a directory"):
        load_primary(file)

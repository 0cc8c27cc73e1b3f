"""The configuration: files, flags, and what is refused with the name of the key."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from replicad.backup.archive.options import ArchiveOptions
from replicad.backup.options import BackupEngineOptions
from replicad.daemon.backups.options import NodeBackupOptions
from replicad.daemon.config import load_primary, load_replica
from replicad.errors import ConfigError, InvalidArgument
from replicad.net.addresses import Address, parse_address
from replicad.options import FamilyOptions, Options
from replicad.replication.options import ReplicationOptions, RoleOptions, VerificationOptions
from replicad.server import ServerOptions

OPTIONS = (
    Options,
    FamilyOptions,
    ReplicationOptions,
    RoleOptions,
    VerificationOptions,
    ServerOptions,
    NodeBackupOptions,
    BackupEngineOptions,
    ArchiveOptions,
)


def written(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "node.toml"
    file.write_text(text)
    return file


def test_a_file_and_flags_over_it(tmp_path: Path) -> None:
    """Flags win over the file, tables become the option classes of their parts."""
    file = written(
        tmp_path,
        """
        data = "/somewhere"
        listen = "127.0.0.1:7000"
        replication = ":7001"
        [store]
        durability = "async"
        segment_bytes = 65536
        [link]
        heartbeat_seconds = 0.5
        [clients]
        clients_max = 7
        [log]
        format = "json"
        """,
    )
    config = load_primary(file, data=tmp_path, listen=":7002", store__segment_bytes=131072, replication=None)
    assert config.data == tmp_path
    assert config.listen == Address("127.0.0.1", 7002)
    assert config.replication == Address("127.0.0.1", 7001)
    assert (config.store.durability, config.store.segment_bytes) == ("async", 131072)
    assert config.link.heartbeat_seconds == 0.5
    assert config.clients.clients_max == 7
    assert config.log.format == "json"


def test_flags_are_enough(tmp_path: Path) -> None:
    """No file is needed."""
    config = load_replica(None, data=tmp_path, primary="127.0.0.1:6381")
    assert config.primary == Address("127.0.0.1", 6381)
    assert config.listen == Address("127.0.0.1", 6380)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('data = "/d"\nlisen = ":1"', "lisen is not a key: did you mean listen?"),
        ('data = "/d"\ndurability = "async"', "durability is not a key: it belongs in [store]"),
        (
            'data = "/d"\n[store]\nlisten = ":1"',
            "store.listen is not a key: it belongs before the first section",
        ),
        (
            'data = "/d"\n[store]\nmemtable_byte = 1',
            "store.memtable_byte is not a key: did you mean memtable_bytes?",
        ),
        ('data = "/d"\n[store]\nfoo = 1', "store.foo is not a key"),
        ('data = "/d"\n[store]\ncreate_if_missing = false', "store.create_if_missing is not a key"),
        ('data = "/d"\n[store]\nsegment_bytes = 1', "segment_bytes"),
        (
            'data = "/d"\n[store]\nsegment_bytes = "many"',
            'node.toml:3: store.segment_bytes = "many": it takes a whole number of bytes, at least 4096',
        ),
        ('data = "/d"\n[store]\ndurability = "maybe"', "durability"),
        ('data = "/d"\n[link]\nidle_seconds = 0.1', "idle_seconds"),
        ('data = "/d"\nstore = 1', "store is a table"),
        ('data = "/d"\n[log]\nlevel = "loud"', "log.level"),
        ("listen = ':1'", "data is missing"),
        ('data = "/d"\nlisten = "0.0.0.0:6380"', "toml:2: listen: 0.0.0.0:6380 is refused"),
        ('data = "/d"\nlisten = 6380', "listen = 6380: '6380' is not HOST:PORT"),
        ('data = "/d"\nannounce = "0.0.0.0"', "announce: '0.0.0.0' is not a host to connect to"),
        (
            'data = "/d"\n[users.a]\nroles = ["reed"]',
            'users.a.roles = ["reed"]: it takes a list of "monitor", "read", "write", "replicate",',
        ),
        ('data = "/d"\n[users."a.b"]', 'users."a.b".roles is missing'),
        (
            'data = "/d"\n[users.a]\nroles = []\ntoken_sha256 = "0"',
            "users.a: token_sha256 is 64 hexadecimal digits",
        ),
        ('data = "/d"\n[tls]\nallow = "a"', 'tls.allow = "a": it takes a list of strings'),
        ('data = "/d"\n[tls]\ncert_file = "/c"', "toml: tls.key_file is missing: TLS needs"),
        ('data = "/d"\n[tls.http]\ncertificate = "no"', "tls.http.certificate is not a key: did you mean"),
        ("data = ", "node.toml"),
        ("data = " + "[" * 5000, "nested too deeply"),
        ("a" + ".a" * 5000 + " = 1", "nested too deeply"),
        ("data = " + "[" * 300 + "]" * 300, ": it takes a path"),
        ('data = "/d"\n' + "\n".join(f"a{n} = 1" for n in range(9)), "; and 4 more: replicad config check"),
        (
            'data = "/d"\n[link]\nheartbeat_seconds = true',
            "link.heartbeat_seconds = true: it takes a number of seconds, at least 0.001",
        ),
        ('data = "/d"\n[store.families.a]\nbloom_bits_per_key = true', "store.families.a.bloom_bits_per_key"),
        ('data = "/d"\n[store]\nfamilies = 3', "store.families"),
        (
            'data = "/d"\n[link]\nmax_staleness_seconds = nan',
            "link.max_staleness_seconds = nan: it takes a number",
        ),
        ('data = "/d"\n[link]\nheartbeat_seconds = inf\nidle_seconds = inf', "link.heartbeat_seconds"),
        (
            'data = "/d"\n[link]\nconnect_seconds = 0',
            "link.connect_seconds = 0: it takes a number of seconds, above 0",
        ),
        ('data = "/d"\n[roles]\nstood_still_seconds = nan', "roles.stood_still_seconds"),
        ('data = "/d"\n[link]\nsynchronous = "any 1 of"', "link.synchronous: 'any 1 of' is not"),
        ('data = "/d"\n[backup]\nread_bytes_per_second = nan', "backup.read_bytes_per_second"),
        (
            'data = "/d"\nlisten = ":7000"\nreplication = ":7000"',
            "replication is 127.0.0.1:7000, as listen",
        ),
        ('data = "/d"\nlisten = ":7000"\nhttp = ":7000"', "http is 127.0.0.1:7000, as listen is"),
        ('data = "/d"\nreplication = ":7000"\nhttp = ":7000"', "http is 127.0.0.1:7000, as replication is"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, text: str, said: str) -> None:
    """Every mistake is a ConfigError that names the file and the key."""
    with pytest.raises(ConfigError) as raised:
        load_primary(written(tmp_path, text))
    assert said in str(raised.value)
    assert "node.toml" in str(raised.value)


@pytest.mark.parametrize("kind", OPTIONS, ids=lambda kind: kind.__name__)
def test_numbers_are_numbers(kind: type[Any]) -> None:
    """In every class of options a field that is a number takes nothing else, and not NaN."""
    numbers = [one.name for one in fields(kind) if re.search(r"\b(int|float)\b", str(one.type))]
    assert numbers
    for name in numbers:
        for bad in (float("nan"), float("inf"), -1, True, "1"):
            with pytest.raises(InvalidArgument, match=name):
                kind(**{name: bad})


def test_addresses_that_the_system_chooses_may_look_the_same(tmp_path: Path) -> None:
    """Port 0 is another one each time when a node listens, and none when it connects."""
    load_primary(None, data=tmp_path, listen=":0", replication=":0", http=":0")
    with pytest.raises(ConfigError, match=r"primary is 127\.0\.0\.1:0"):
        load_replica(None, data=tmp_path, primary=":0")


def test_a_replica_needs_its_primary(tmp_path: Path) -> None:
    """There is no default for the address of the primary; a file that is missing is said to be."""
    with pytest.raises(ConfigError, match="primary is missing"):
        load_replica(None, data=tmp_path)
    with pytest.raises(ConfigError, match="No such file"):
        load_replica(tmp_path / "none.toml")


@pytest.mark.parametrize(
    ("text", "address"),
    [
        (":6380", Address("127.0.0.1", 6380)),
        ("localhost:1", Address("127.0.0.1", 1)),
        ("127.8.9.10:65535", Address("127.8.9.10", 65535)),
        ("[::1]:0", Address("::1", 0)),
    ],
)
def test_loopback_is_accepted_in_all_its_spellings(text: str, address: Address) -> None:
    """Loopback in all its spellings is accepted, and shown so that it can be read back."""
    assert parse_address(text) == address
    assert parse_address(str(address)) == address


@pytest.mark.parametrize(
    "text", ["0.0.0.0:1", "[::]:1", "10.0.0.1:1", "db-1.example.org:1", "[2001:db8::1]:1"]
)
def test_addresses_of_other_machines(text: str) -> None:
    """They are addresses; whether a node may use them is another question."""
    address = parse_address(text)
    assert str(address) == text
    assert not address.is_loopback


@pytest.mark.parametrize(
    "text", ["", "6380", "127.0.0.1", "127.0.0.1:", "127.0.0.1:65536", "a b:1", "::1:1", "a..b:1", "1.2.3:1"]
)
def test_what_is_no_address(text: str) -> None:
    """Anything else is not HOST:PORT."""
    with pytest.raises(ConfigError, match="HOST:PORT"):
        parse_address(text)


def test_options_of_column_families(tmp_path: Path) -> None:
    """Each is a table by its name; a key that there is not, or a bad value, is named."""
    file = tmp_path / "node.toml"
    file.write_text('data = "/srv"\n[store.families."my orders"]\nblock_bytes = 4096\n')
    families = load_primary(file).store.families
    assert families == {"my orders": FamilyOptions(block_bytes=4096)}
    for line, wrong in [("blocks = 1", "store.families.a.blocks"), ("block_bytes = 1", "block_bytes")]:
        file.write_text(f'data = "/srv"\n[store.families.a]\n{line}\n')
        with pytest.raises(ConfigError, match=wrong):
            load_primary(file)

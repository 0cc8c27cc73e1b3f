"""The verbs on data directories."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from pathlib import Path

import pytest

import replicad
from replicad.cli.exits import DIFFERENT, ERROR, OK, USAGE
from replicad.env import Env
from replicad.state import NodeState, Shown
from replicad.units import show_time
from tests.cli.conftest import RECORDS, Outcome, fill

Run = Callable[..., Outcome]


def test_the_digest_of_a_directory_is_that_of_its_database(run: Run, filled: Path) -> None:
    """The digest of a directory is that of the database in it, at its sequence number."""
    with replicad.open(filled, read_only=True) as database:
        sequence, digest = database.digest()
    assert run("digest", filled) == (0, f"{sequence} {digest}\n", "")
    _, out, _ = run("digest", filled, "--json")
    assert json.loads(out) == {"node": str(filled), "sequence": sequence, "digest": digest}


def test_updates_shows_every_batch_from_there_on_with_its_annotation(run: Run, filled: Path) -> None:
    """Every batch from N on is shown in order with its annotation."""
    _, out, _ = run("updates", filled, "--since", 101, "--json")
    batches = [json.loads(line) for line in out.splitlines()]
    assert [batch["first_sequence"] for batch in batches] == list(range(101, RECORDS + 1))
    assert [batch["annotations"] for batch in batches] == [[f"note {n}"] for n in range(100, RECORDS)]
    assert batches[0]["operations"][0]["key"] == "key:000100"
    code, out, _ = run("updates", filled, "--since", RECORDS, "--count", 1)
    assert code == 0
    assert f"put key:{RECORDS - 1:06} = value" in out
    assert f"annotation note {RECORDS - 1}" in out


def test_updates_since_a_time(run: Run, filled: Path) -> None:
    """From the first batch of that time or later; a time without meaning, or two beginnings, are refused."""
    _, out, _ = run("updates", filled, "--since", 1, "--json")
    times = [json.loads(line)["commit_time_us"] for line in out.splitlines()]
    asked = times[60]
    _, out, _ = run("updates", filled, "--since-time", show_time(asked), "--json")
    assert [json.loads(line)["commit_time_us"] for line in out.splitlines()] == [
        t for t in times if t >= asked
    ]
    assert run("updates", filled, "--since-time", "2100-01-01").out == ""
    assert run("updates", filled, "--since-time", "noon").code == USAGE
    assert run("updates", filled, "--since-time", "2026-01-01", "--since", 1).code == USAGE


def test_following_a_directory_shows_what_its_daemon_writes(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Following a directory shows what its daemon writes meanwhile."""
    with replicad.open(tmp_path / "db") as database:
        database.put(b"first", b"1")

        refresh = replicad.Database.refresh

        def write_and_refresh(reader: replicad.Database) -> None:
            """The reader has shown all there was, and looks again."""
            if database.latest_sequence == 1:
                database.put(b"second", b"2")
            refresh(reader)

        monkeypatch.setattr(replicad.Database, "refresh", write_and_refresh)
        code, out, _ = run("updates", tmp_path / "db", "--since", 1, "--follow", "--count", 2)
    assert code == 0
    assert [line.split()[1] for line in out.splitlines() if "put" in line] == ["first", "second"]


def test_a_damaged_options_file_keeps_no_verb_from_the_data(run: Run, tmp_path: Path) -> None:
    """Nothing in it is needed to read the data while the log is in its usual place; a node starts, too."""
    directory = fill(tmp_path / "db")
    with replicad.open(directory, read_only=True) as database:
        sequence, digest = database.digest()
    for verb in (
        ("digest", directory),
        ("updates", directory, "--since", 1, "--count", 1),
        ("backup", "create", "--data", directory, tmp_path / "backups"),
        ("checkpoint", directory, tmp_path / "copy"),
    ):
        (options,) = directory.glob("OPTIONS-*.toml")
        options.write_bytes(options.read_bytes().replace(b"block_bytes", b"block_bites"))
        code, _, err = run(*verb)
        assert (verb[0], code) == (verb[0], OK)
        assert f"{options}: " in err
        assert "; the defaults are taken" in err
    assert run("digest", tmp_path / "copy").out == f"{sequence} {digest}\n"


def test_a_damaged_options_file_is_an_error_where_only_it_says_where_the_log_is(
    run: Run, tmp_path: Path
) -> None:
    """The tables alone would be an older state, and of a node that was killed nothing else would say so."""
    with replicad.open(tmp_path / "db", replicad.Options(wal_dir=tmp_path / "log")) as database:
        database.put(b"a", b"1")
        (options,) = (tmp_path / "db").glob("OPTIONS-*.toml")
        options.write_bytes(options.read_bytes().replace(b"block_bytes", b"block_bites"))
        for verb in ("digest", "updates"):
            code, out, err = run(verb, tmp_path / "db")
            assert (code, out) == (ERROR, "")
            assert str(options) in err


def test_a_directory_whose_log_is_elsewhere_is_read_and_copied(run: Run, tmp_path: Path) -> None:
    """A directory whose log is elsewhere is read, and copied, with the options it was opened with."""
    options = replicad.Options(wal_dir=tmp_path / "log", block_bytes=2048)
    with replicad.open(tmp_path / "db", options) as database:
        database.put(b"a", b"1")
        sequence, digest = database.digest()
    assert run("digest", tmp_path / "db").out == f"{sequence} {digest}\n"
    assert run("checkpoint", tmp_path / "db", tmp_path / "copy").code == 0
    assert run("digest", tmp_path / "copy").out == f"{sequence} {digest}\n"
    assert replicad.load_latest_options(tmp_path / "db") == (options, {})


def test_status_of_a_directory_without_a_daemon_is_what_its_manifest_holds(run: Run, filled: Path) -> None:
    """A directory without a daemon says what its manifest holds."""
    code, out, _ = run("status", filled, "--json")
    (document,) = json.loads(out)
    assert code == 0
    assert document["manifest"]["tables"] >= 1
    assert len(document["database_id"]) == 32


def test_status_of_a_node(run: Run, tmp_path: Path) -> None:
    """What a node last showed of itself is told, while it runs and after it is down."""
    fill(tmp_path / "replica", 3)
    state = NodeState(Env(), tmp_path / "replica")
    shown = Shown(
        role="replica",
        database_id=None,
        position="1:3:00000000000000ff",
        primary_address="127.0.0.1:6381",
        link="streaming",
        at_us=1_767_225_600_000_000,
    )
    state.show(shown)
    node_id = state.node_id.hex()
    state.close()
    _, out, _ = run("status", tmp_path / "replica", "--json")
    (document,) = json.loads(out)
    assert document["node_id"] == node_id
    assert document["role"] == "replica"
    assert document["position"] == shown.position
    assert document["shown_at"] == "2026-01-01T00:00:00.000000Z"
    _, out, _ = run("status", tmp_path / "replica")
    assert "streaming" in out


def test_status_of_a_directory_says_that_nobody_was_asked(run: Run, tmp_path: Path) -> None:
    """It calls no node well, and a check is UNKNOWN, whether the daemon runs or not."""
    directory = fill(tmp_path / "db", 3)
    for is_running, why in ((False, "its daemon does not run"), (True, "a process uses them")):
        with replicad.open(directory) if is_running else contextlib.nullcontext():
            code, out, _ = run("status", directory)
            assert (code, "well" in out, why in out) == (0, False, True)
            code, out, _ = run("status", "--check", directory)
            assert (code, why in out) == (3, True)
            assert out.startswith(f"REPLICAD UNKNOWN: {directory}: was not asked: ")


def test_a_directory_without_a_database_is_an_error_for_every_verb(run: Run, tmp_path: Path) -> None:
    """A directory that is no database is an error that says so, for every verb."""
    for verb in ("status", "digest", "updates"):
        code, _, err = run(verb, tmp_path)
        assert code == ERROR
        assert str(tmp_path) in err
        assert err.count("\n") == 1


def test_a_checkpoint_is_equal_to_its_origin_until_the_next_write(run: Run, tmp_path: Path) -> None:
    """A checkpoint is equal to its origin; one more write makes them incomparable or different."""
    origin, copy = fill(tmp_path / "origin", 50), tmp_path / "copy"
    code, out, _ = run("checkpoint", origin, copy)
    assert code == 0
    assert out.startswith(f"{copy} at 1:50:")
    code, out, _ = run("verify", origin, copy)
    assert code == 0
    assert out.startswith("equal at sequence number 50: ")


def test_a_checkpoint_leaves_the_directory_its_identity(run: Run, tmp_path: Path) -> None:
    """A primary whose directory was copied while it was down is still its replicas' primary."""
    with replicad.open(fill(tmp_path / "db", 3)) as database:
        id = database.database_id
    assert run("checkpoint", tmp_path / "db", tmp_path / "copy").code == 0
    with replicad.open(tmp_path / "db") as database:
        assert database.database_id == id


def test_the_lowest_key_that_differs_is_named(run: Run, tmp_path: Path) -> None:
    """Nodes that differ are exit code 4, with the lowest key that differs."""
    for name, value in (("a", b"1"), ("b", b"2")):
        with replicad.open(tmp_path / name) as database:
            database.put(b"same", b"x")
            database.put(b"\xff\x00different", value)
    code, _, err = run("verify", tmp_path / "a", tmp_path / "b")
    assert code == DIFFERENT
    assert "key \\xff\\x00different has another value" in err


def test_a_destination_that_exists_is_left_alone(run: Run, filled: Path, tmp_path: Path) -> None:
    """A destination that exists is left alone."""
    (tmp_path / "copy").mkdir()
    (tmp_path / "copy" / "precious").touch()
    code, _, err = run("checkpoint", fill(tmp_path / "db", 3), tmp_path / "copy")
    assert code == ERROR
    assert "copy" in err
    assert (tmp_path / "copy" / "precious").exists()


def test_families_in_the_log(run: Run, tmp_path: Path) -> None:
    """Creation, writes and drop of a column family are shown as such, also by inspect."""
    with replicad.open(tmp_path / "db") as database:
        family = database.create_family("orders")
        database.put(b"k", b"v", family=family)
        database.create_family("kept")
        database.drop_family(family)
        database.flush()
        (segment,) = database.get_sorted_wal_files()
    _, out, _ = run("updates", tmp_path / "db", "--since", 1)
    shown = [line.strip() for line in out.splitlines() if line.startswith(" ")]
    assert shown == ["create_family [1] orders", "put [1] k = v", "create_family [2] kept", "drop_family [1]"]
    _, out, _ = run("inspect", segment.path, "--entries")
    assert "create_family" in out and "orders" in out and "drop_family" in out
    (manifest,) = (tmp_path / "db").glob("MANIFEST-*")
    code, out, _ = run("inspect", manifest, "--json")
    assert code == 0 and "kept" in out and "next" in out

"""`replicad backup`: every verb, what it prints, and how it ends."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

import replicad
from replicad.backup.archive.archiver import LogArchiver
from replicad.cli.arguments import parse_time
from replicad.cli.backup.arguments import parse_rate, parse_span
from replicad.cli.exits import ERROR, INTERRUPTED, OK, USAGE
from replicad.daemon.records import locked_state
from replicad.env import Env
from replicad.errors import ConfigError, UsageError
from replicad.store.database import open_database
from tests.cli.conftest import RECORDS, Outcome, fill
from tests.support.waiting import eventually

Run = Callable[..., Outcome]


@pytest.fixture
def target(tmp_path: Path, run: Run) -> Path:
    """Two backups of one data directory."""
    fill(tmp_path / "db")
    place = tmp_path / "backups"
    assert run("backup", "create", "--data", tmp_path / "db", place).code == OK
    with replicad.open(tmp_path / "db") as db:
        db.put(b"key:000000", b"later")
    assert run("backup", "create", place, "--data", tmp_path / "db", "--metadata", "tuesday").code == OK
    return place


def test_create_list_and_show(run: Run, target: Path, tmp_path: Path) -> None:
    """What was made is listed with position, sizes and metadata, and explained file by file."""
    code, out, err = run("backup", "list", target)
    assert (code, err) == (OK, "")
    assert f"1:{RECORDS}:" in out
    assert f"1:{RECORDS + 1}:" in out
    assert "tuesday" in out
    listed = json.loads(run("backup", "list", target, "--json").out)
    first, second = listed["backups"]
    assert (first["id"], second["id"], second["metadata"]) == (1, 2, "tuesday")
    assert second["copied_bytes"] < first["copied_bytes"]
    shown = run("backup", "show", target, 2, "--files").out
    assert second["position"] in shown
    assert "CURRENT" in shown
    document = json.loads(run("backup", "show", target, 2, "--json").out)
    assert document["position"] == second["position"]
    assert sum(file["size_bytes"] for file in document["files"]) == second["size_bytes"]
    code, out, err = run("backup", "show", target, 7)
    assert (code, out) == (ERROR, "")
    assert "holds no backup 7" in err


def test_a_target_that_is_not_there(run: Run, tmp_path: Path) -> None:
    """Only create makes a target; an empty directory is one that holds nothing."""
    nowhere = tmp_path / "nothing"
    for arguments in (("list",), ("gc",), ("purge", "--keep", 1), ("delete", 1), ("verify",), ("show", 1)):
        verb, *others = arguments
        code, out, err = run("backup", verb, nowhere, *others)
        assert (code, out, err) == (ERROR, "", f"replicad: {nowhere} does not exist\n"), verb
    assert not nowhere.exists()
    nowhere.mkdir()
    assert run("backup", "list", nowhere).out == f"{nowhere} holds no backup\n"


def test_backups_stay_out_of_databases(run: Run, target: Path, tmp_path: Path) -> None:
    """A database's directory is no target, and a target is no place for a database."""
    fill(tmp_path / "other")
    for place in (tmp_path / "db", tmp_path / "db" / "inner", tmp_path / "other"):
        code, _, err = run("backup", "create", place, "--data", tmp_path / "db")
        assert (code, "is a database's directory, or within one" in err) == (ERROR, True)
    code, _, err = run("checkpoint", tmp_path / "db", tmp_path / "db" / "inner")
    assert (code, "is within the database" in err) == (ERROR, True)
    assert not (tmp_path / "db" / "inner").exists()
    with (
        pytest.raises(ConfigError, match="and no database; name a new or empty directory"),
        locked_state(Env(), target),
    ):
        pass
    assert not (target / "state").exists()


def test_a_backup_leaves_the_source_what_it_is(run: Run, target: Path, tmp_path: Path) -> None:
    """Backing up a data directory or a checkpoint changes no identity."""
    with replicad.open(tmp_path / "db") as db:
        id = db.database_id
        db.create_checkpoint(tmp_path / "copy")
    assert run("backup", "create", target, "--data", tmp_path / "copy").code == OK
    listed = json.loads(run("backup", "list", target, "--json").out)["backups"]
    assert {backup["database_id"] for backup in listed} == {id.hex()}


def test_verify_names_every_backup_that_damage_breaks(run: Run, target: Path) -> None:
    """Damage ends verification with 1 and names every backup that it breaks."""
    code, out, err = run("backup", "verify", target)
    assert (code, err) == (OK, "")
    assert out.startswith("backup 2: whole; ")
    assert run("backup", "verify", target, "--all", "--checksums").code == OK
    victim = next((target / "shared_checksum").iterdir())
    victim.write_bytes(victim.read_bytes()[:-1])
    code, out, err = run("backup", "verify", target)
    assert code == ERROR
    assert victim.name in err
    assert "breaks backups 1, 2" in err
    document = json.loads(run("backup", "verify", target, "--all", "--json").out)
    assert document["broken"] == [1, 2]
    assert out.startswith("backups 1, 2: DAMAGED; ")
    assert run("backup", "verify", target, "1", "--all").code == USAGE


def test_the_headline_of_verify_calls_only_broken_backups_damaged(
    run: Run, target: Path, tmp_path: Path
) -> None:
    """Who gives up what it names gives up no backup that is whole."""
    assert run("backup", "create", target, "--data", tmp_path / "db").code == OK
    victim = next((target / "private" / "2").glob("MANIFEST*"))
    data = victim.read_bytes()
    victim.write_bytes(bytes([data[0] ^ 1]) + data[1:])

    code, out, err = run("backup", "verify", target, "--all", "--checksums")
    assert code == ERROR
    assert out.startswith("backup 2: DAMAGED; backups 1, 3: whole; ")
    assert err.count("it breaks backup 2\n") == 1
    document = json.loads(run("backup", "verify", target, "--all", "--checksums", "--json").out)
    assert (document["broken"], document["whole"]) == ([2], [1, 3])


def test_an_unreadable_latest_backup_is_told(run: Run, target: Path, tmp_path: Path) -> None:
    """Whoever asks for the latest hears that a newer one cannot be read; verification fails."""
    (target / "meta" / "2.json").write_bytes(b"")
    for arguments, ending in (
        (("verify", target), ERROR),
        (("restore", target, tmp_path / "new"), OK),
    ):
        code, _, err = run("backup", *arguments)
        assert code == ending
        assert "backup 2 cannot be read (" in err
        assert "); 1 is the newest that can" in err
    assert json.loads(run("backup", "verify", target, "--json").out)["broken"] == [2]


def test_restore_takes_an_id_or_the_latest_and_refuses_a_directory_in_use(
    run: Run, target: Path, tmp_path: Path
) -> None:
    """By id or the latest; a dry run changes nothing; a directory in use is refused with its holder."""
    code, out, _ = run("backup", "restore", target, tmp_path / "new", "--id", 1, "--dry-run")
    assert code == OK
    assert "would be" in out
    assert not (tmp_path / "new").exists()
    code, out, _ = run("backup", "restore", target, tmp_path / "new", "--id", 1)
    assert code == OK
    assert f"backup 1 is in {tmp_path / 'new'} at 1:{RECORDS}:" in out
    report = json.loads(run("backup", "restore", target, tmp_path / "new", "--json").out)
    assert report["sequence"] == RECORDS + 1
    assert report["replaces"]
    with replicad.open(tmp_path / "new") as restored:
        assert restored.get(b"key:000000") == b"later"
        code, out, err = run("backup", "restore", target, tmp_path / "new")
    assert (code, out) == (ERROR, "")
    assert "in use by process" in err
    assert run("backup", "restore", target, tmp_path / "new", "--id", 1, "--sequence", 3).code == USAGE
    assert run("backup", "restore", target, tmp_path / "new", "--database", "ab", "--id", 1).code == USAGE


def test_restore_to_a_moment(run: Run, target: Path, tmp_path: Path) -> None:
    """`--sequence` and `--time` restore from the archived log, which list and verify show."""
    with open_database(tmp_path / "db") as db:
        for number in range(10):
            db.put(b"key:000000", b"%d" % number)
        archiver = LogArchiver(replicad.BackupEngine(target).target, db)
        while archiver.step():
            pass
        archiver.close()
        time_us = next(db.get_updates_since(RECORDS + 5)).commit_time
    assert f"to {RECORDS + 11}" in run("backup", "list", target).out
    assert run("backup", "verify", target, "--checksums").code == OK
    restored = tmp_path / "new"
    assert run("backup", "restore", target, restored, "--sequence", RECORDS + 4).code == OK
    with replicad.open(restored, read_only=True) as db:
        assert db.get(b"key:000000") == b"2"
    time = "1970-01-01T00:00:00Z"
    code, _, err = run("backup", "restore", target, restored, "--time", time)
    assert code == ERROR
    assert "no backup is old enough" in err
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=time_us)
    assert run("backup", "restore", target, restored, "--time", moment.isoformat()).code == OK
    with replicad.open(restored, read_only=True) as db:
        assert db.latest_sequence >= RECORDS + 5
    victim = next((target / "log").rglob("*.log"))
    victim.unlink()
    code, _, err = run("backup", "restore", target, restored, "--sequence", RECORDS + 4)
    assert (code, "lacks sequence numbers" in err) == (ERROR, True)


def test_delete_purge_and_gc(run: Run, target: Path, tmp_path: Path) -> None:
    """Backups go by id or by count; what nobody needs goes with them."""
    assert "backups deleted: 1;" in run("backup", "delete", target, 1).out
    assert run("backup", "delete", target, 1).code == ERROR
    for _ in range(2):
        run("backup", "create", target, "--data", tmp_path / "db")
    document = json.loads(run("backup", "purge", target, "--keep", 1, "--json").out)
    assert document["backups"] == [2, 3]
    assert run("backup", "gc", target, "--grace", "0s").code == OK
    assert run("backup", "verify", target, "--all", "--checksums").code == OK
    assert run("backup", "purge", target).code == USAGE


def test_deleting_is_all_or_nothing(run: Run, target: Path, tmp_path: Path) -> None:
    """An id that is not there keeps the others; unreadable backups stop removals until named."""
    code, _, err = run("backup", "delete", target, 1, 99)
    assert (code, "holds no backup 99" in err) == (ERROR, True)
    for _ in range(2):
        run("backup", "create", target, "--data", tmp_path / "db")
    for id in (2, 4):
        (target / "meta" / f"{id}.json").write_bytes(b"")
    for arguments in (("delete", target, 1), ("delete", target, 1, 4), ("gc", target)):
        code, _, err = run("backup", *arguments)
        assert code == ERROR
        assert f"replicad backup delete {target} 2" in err
    assert len(json.loads(run("backup", "list", target, "--json").out)["backups"]) == 2
    assert "backups deleted: 1, 2, 4;" in run("backup", "delete", target, 2, 1, 4).out
    assert run("backup", "verify", target, "--all", "--checksums").code == OK


def test_an_interrupted_backup_says_so_and_stops(run: Run, target: Path, tmp_path: Path) -> None:
    """Ctrl-C stops a copy that would take long, says what it does, and leaves no backup behind."""
    fill(tmp_path / "large", 4000)
    command = [sys.executable, "-m", "replicad", "backup", "create", "--data", str(tmp_path / "large")]
    copying = subprocess.Popen(
        [*command, str(tmp_path / "new"), "--rate", "2K"], stderr=subprocess.PIPE, text=True
    )
    eventually(lambda: any((tmp_path / "new").rglob("tmp/*")))
    copying.send_signal(signal.SIGINT)
    _, err = copying.communicate(timeout=30)
    assert copying.returncode == INTERRUPTED
    assert err == "replicad: stopping what is under way; Ctrl-C again ends at once\n"
    assert run("backup", "list", tmp_path / "new").out == f"{tmp_path / 'new'} holds no backup\n"


def test_what_cannot_be_meant(run: Run, tmp_path: Path) -> None:
    """Wrong command lines end with 2 and say what to write instead."""
    (tmp_path / "t").mkdir()
    for arguments in (
        ("create", tmp_path / "t"),
        ("create", "--data", tmp_path),
        ("create", "", "--node", ":1"),
        ("list", ""),
        ("create", tmp_path / "t", "--data", tmp_path, "--node", ":1"),
        ("create", tmp_path / "t", "--node", ":1", "--rate", "20M"),
        ("create", tmp_path / "t", "--node", ":1", "--workers", "4"),
        ("purge", tmp_path / "t", "--log-age", "soon"),
        ("restore", tmp_path / "t", tmp_path / "d", "--time", "noon"),
        ("verify", tmp_path / "t", "--rate", "fast"),
    ):
        code, out, err = run("backup", *arguments)
        assert (code, out) == (USAGE, ""), arguments
        assert err.startswith("replicad: "), arguments


@pytest.mark.parametrize(
    "verb", ["create", "list", "show", "verify", "restore", "delete", "purge", "delete-log", "gc"]
)
def test_every_verb_of_backup_shows_an_example(run: Run, verb: str) -> None:
    """Every verb's help has an example that can be typed."""
    code, out, _ = run("backup", verb, "--help")
    assert code == OK
    assert f"replicad backup {verb} " in out.split("Example")[1]


def test_rates_spans_and_times_are_read_strictly() -> None:
    """Rates, spans and times are read strictly."""
    assert [parse_rate(text) for text in (None, "500", "20M", "1.5KiB")] == [None, 500, 20 << 20, 1536]
    assert [parse_span(text) for text in (None, "90s", "36h", "1.5d")] == [None, 90, 129_600, 129_600]
    assert parse_time("2026-03-01T12:00:00+01:00") == parse_time("2026-03-01T11:00:00")
    assert parse_time("2026-03-01T11:00:00.123456Z") % 1_000_000 == 123_456
    for wrong in ("0", "-1", "1X", "1e9"):
        with pytest.raises(UsageError):
            parse_rate(wrong)

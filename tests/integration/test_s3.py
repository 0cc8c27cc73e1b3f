"""Backups in S3: a real server process (moto's), asked over the network like any other."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import urllib.request
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

import replicad
from replicad import BackupEngine, BackupEngineOptions, BackupEngineReadOnly, NotFoundError
from replicad.backup.archive.archiver import LogArchiver
from replicad.cli.demonstration.ports import HOST, free_ports
from replicad.cli.main import main
from replicad.store.database import open_database
from tests.integration.test_backup import archived, command_line, content, write
from tests.support.nodes.daemons import Cluster, follows
from tests.support.stores.small import fill, small_options
from tests.support.waiting import eventually

MISSING = [name for name in ("moto", "s3fs") if importlib.util.find_spec(name) is None]
pytestmark = pytest.mark.skipif(
    bool(MISSING), reason=f"{' and '.join(MISSING)} not installed: BACKUPS IN S3 WERE NOT TESTED"
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of an S3 server."""
    (port,) = free_ports(1)
    log = tmp_path_factory.mktemp("moto") / "log"
    with open(log, "wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "moto.server", "-H", HOST, "-p", str(port)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    address = f"http://{HOST}:{port}"

    def answers() -> bool:
        assert process.poll() is None, log.read_text()[-2000:]
        try:
            urllib.request.urlopen(f"{address}/moto-api/data.json", timeout=5).close()
        except OSError:
            return False
        return True

    try:
        eventually(answers, 60)
        yield address
    finally:
        process.kill()
        process.wait()


@pytest.fixture
def url(server: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """A prefix in a new bucket, which this process and its children find with what they have in common."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", server)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("NO_PROXY", f"{os.environ.get('NO_PROXY', '')},{HOST}")
    import s3fs

    bucket = f"backups-{uuid.uuid4().hex}"
    fs = s3fs.S3FileSystem(skip_instance_cache=True)
    fs.mkdir(bucket)
    return f"s3://{bucket}/some/prefix"


def test_everything_that_an_engine_does(url: str, tmp_path: Path) -> None:
    """Create, list, verify, open in place, restore, restore to a point, delete and collect, all over S3."""
    states = {}
    options = BackupEngineOptions(max_background_operations=8)
    (tmp_path / "beside").write_bytes(b"an attachment")
    with open_database(tmp_path / "db", small_options()) as db, BackupEngine(url, options) as engine:
        archiver = LogArchiver(engine.target, db)
        for round in range(3):
            fill(db, 400, start=200 * round)
            info = engine.create_backup(db, attachments=lambda snapshot: [tmp_path / "beside"])
            states[info.id] = (db.position, dict(db.scan()))
        fill(db, 100)
        assert db.wait_durable(db.appended_sequence, 30)
        end, last = db.position, dict(db.scan())
        while archiver.step():
            pass
        archiver.close()
    with BackupEngineReadOnly(url, options) as engine:
        assert [info.id for info in engine.get_backup_info()] == [1, 2, 3]
        assert engine.verify_backups(checksums=True).ok
        assert [check.ok for check in engine.verify_log(checksums=True)] == [True]
        for id, (position, state) in states.items():
            with engine.open_backup(id) as then:
                assert (then.position, dict(then.scan())) == (position, state)
            assert engine.restore_backup(id, tmp_path / "restored").position == position
            assert content(tmp_path / "restored") == state
        assert engine.restore_to(tmp_path / "restored", sequence=end.sequence).position == end
        assert content(tmp_path / "restored") == last
    with BackupEngine(url, options) as engine:
        engine.delete_backup(1)
        engine.purge_old_backups(1)
        engine.garbage_collect(0)
        assert [info.id for info in engine.get_backup_info()] == [3]
        assert engine.verify_backups(checksums=True).ok
        names = engine.target.list("")
        name = next(name for name in names if name.startswith("shared_checksum/"))
        engine.target.write(name, [engine.target.read(name)[:-1]])
        assert engine.verify_backup(3).broken == (3,)


def test_the_verbs_take_a_url_where_they_take_a_directory(url: str, tmp_path: Path) -> None:
    """The verbs take a URL where they take a directory; a bucket that is not there is one line on stderr."""
    with replicad.open(tmp_path / "db") as db:
        fill(db, 50)
    command_line("backup", "create", url, "--data", tmp_path / "db", "--metadata", "s3")
    assert command_line("backup", "list", url)["backups"][0]["metadata"] == "s3"
    assert command_line("backup", "verify", url, "--all", "--checksums")["ok"]
    command_line("backup", "restore", url, tmp_path / "restored")
    assert len(content(tmp_path / "restored")) == 50
    assert main(["backup", "restore", "s3://no-such-bucket/x", str(tmp_path / "new")]) == 1
    assert not (tmp_path / "new" / "CURRENT").exists()


def test_a_node_archives_to_it(url: str, cluster: Cluster, tmp_path: Path) -> None:
    """A primary writes backups and its log to S3, and any point of them can be restored."""
    primary = cluster.primary()
    primary.configure({"backup": {"target": url, "archive_log": True, "archive_seconds": 0.2}})
    primary.start()
    write(primary, 0, 300)
    command_line("backup", "create", "--node", f":{primary.port}")
    write(primary, 300, 300)
    eventually(lambda: archived(primary), 60)
    command_line("backup", "restore", url, tmp_path / "restored", "--sequence", 456)
    assert len(content(tmp_path / "restored")) == 456
    assert primary.terminate() == 0


def test_a_replica_starts_from_it(url: str, cluster: Cluster) -> None:
    """A replica restores the backup and the archived log from S3, and follows without a copy."""
    primary = cluster.primary()
    primary.configure({"backup": {"target": url, "archive_log": True, "archive_seconds": 0.2}})
    primary.start()
    write(primary, 0, 300)
    command_line("backup", "create", "--node", f":{primary.port}")
    write(primary, 300, 300)
    eventually(lambda: archived(primary), 60)
    replica = cluster.replica()
    replica.keys["from_backup"] = url
    replica.configure({})
    replica.spawn()
    eventually(replica.serves, 60)
    follows(replica, primary)
    assert replica.status()["last_restore"]["position"].split(":")[1] == "600"
    assert primary.events("bootstrap.serving") == []


def test_a_prefix_without_backups_has_none(url: str, tmp_path: Path) -> None:
    """A prefix without backups has none, and says so."""
    with BackupEngineReadOnly(url) as engine:
        assert engine.get_backup_info() == []
        with pytest.raises(NotFoundError):
            engine.restore_latest_backup(tmp_path / "new")


def test_a_bucket_that_is_not_there(url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Every verb says so in one line, and nothing makes it by the way."""
    with open_database(tmp_path / "db") as db:
        db.put(b"k", b"v")
    where = f"s3://nothing-{uuid.uuid4().hex}/prefix"
    verbs = (("list",), ("verify",), ("restore", tmp_path / "new"), ("create", "--data", tmp_path / "db"))
    for verb, *rest in verbs:
        for _ in range(2):
            assert main(["backup", verb, where, *map(str, rest)]) == 1
            err = capsys.readouterr().err
            assert "there is no bucket" in err and len(err.splitlines()) == 1

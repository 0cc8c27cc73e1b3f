"""The options file: written when options differ, in every copy, and true to keys of newer versions."""

from __future__ import annotations

import datetime
import tomllib
from dataclasses import fields, replace
from pathlib import Path

import pytest

import replicad
from replicad import FamilyOptions, Options
from replicad.errors import ConfigError
from replicad.store.database import open_database
from replicad.store.directory.options_file import encode_options
from tests.support.stores.small import fill, small_options


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.glob("OPTIONS-*"))


def test_written_when_options_differ(tmp_path: Path) -> None:
    """One file, a new one only after an opening with other options."""
    options = small_options()
    for expected, opened_with in [
        ("OPTIONS-000001.toml", options),
        ("OPTIONS-000001.toml", options),
        ("OPTIONS-000002.toml", replace(options, block_bytes=2048)),
        ("OPTIONS-000003.toml", options),
    ]:
        with replicad.open(tmp_path / "db", opened_with):
            assert names(tmp_path / "db") == [expected]
            assert replicad.load_latest_options(tmp_path / "db") == (opened_with, {})


def test_every_option_is_kept(tmp_path: Path) -> None:
    """Options whose every value is unusual come back equal, paths and fractions included."""
    unusual = Options(
        durability="async",
        wal_dir=tmp_path / 'odd "wal" \\ dir\t',
        create_if_missing=False,
        compression="none",
        log_retention_seconds=0.1,
        families={
            "odd name": FamilyOptions(block_bytes=1024, compression="none"),
            "plain": FamilyOptions(),
            '\U0001f600 \x7f\t"é': FamilyOptions(block_bytes=2048),
        },
        **{
            field.name: getattr(Options(), field.name) + 1
            for field in fields(Options)
            if isinstance(getattr(Options(), field.name), int) and field.name != "create_if_missing"
        },
    )
    unknown = {"\U0001f600": [{"\x7f": {"\U0001f601": "\U0001f602"}}]}
    found = tomllib.loads(encode_options(unusual, unknown).decode())
    assert {name: found.pop(name) for name in unknown} == unknown
    assert Options(**found) == unusual
    assert set(found) == {field.name for field in fields(Options)}


def test_unknown_keys_are_told_and_kept(tmp_path: Path) -> None:
    """Keys of a newer version are returned, noted at opening, and still there after a rewrite."""
    with replicad.open(tmp_path / "db", small_options()):
        pass
    file = tmp_path / "db" / "OPTIONS-000001.toml"
    later = {
        "later_flag": True,
        "later_list": [1, 2.5, "x"],
        "later_table": {"a b": {"c": datetime.date(2030, 1, 2)}},
    }
    file.write_bytes(encode_options(small_options(), later))
    assert replicad.load_latest_options(tmp_path / "db") == (small_options(), later)
    with replicad.open(tmp_path / "db", small_options(block_bytes=4096)) as db:
        assert any("later_flag, later_list, later_table" in note for note in db.notes)
        fill(db, 10)
        db.create_checkpoint(tmp_path / "copy")
    for directory in ("db", "copy"):
        assert replicad.load_latest_options(tmp_path / directory) == (small_options(block_bytes=4096), later)


def test_options_of_families_are_kept(tmp_path: Path) -> None:
    """Given at creation or at opening, they hold at later openings, and in copies, until others are given."""
    orders, notes = FamilyOptions(block_bytes=2048), FamilyOptions(compression="none")
    with replicad.open(tmp_path / "db", small_options()) as db:
        db.create_family("orders", orders)
        db.create_family("notes", notes)
    assert replicad.load_latest_options(tmp_path / "db")[0].families == {"orders": orders, "notes": notes}
    with replicad.open(tmp_path / "db", small_options(segment_bytes=8192)) as db:
        assert db._core.family_options == {"orders": orders, "notes": notes}
        db.create_checkpoint(tmp_path / "copy")
    with replicad.open(tmp_path / "copy", replicad.load_latest_options(tmp_path / "copy")[0]) as copy:
        assert copy._core.family_options == {"orders": orders, "notes": notes}
    with replicad.open(tmp_path / "db", small_options(families={"notes": notes})) as db:
        assert db._core.family_options == {"notes": notes}
    with replicad.open(tmp_path / "db", small_options(), read_only=True) as db:
        assert db._core.family_options == {"notes": notes}
    with replicad.open(tmp_path / "db", small_options(), families={}):
        pass
    assert replicad.load_latest_options(tmp_path / "db") == (small_options(), {})


def test_unknown_keys_of_families_are_kept(tmp_path: Path) -> None:
    """A newer version's option of one family survives an opening with other options."""
    replicad.open(tmp_path / "db", small_options(families={"a": FamilyOptions(block_bytes=1024)})).close()
    (file,) = (tmp_path / "db").glob("OPTIONS-*")
    text = file.read_text().replace("block_bytes = 1024 }", "block_bytes = 1024, later = 7 }")
    file.write_text("".join(line for line in text.splitlines(True) if "crc32c" not in line))
    options, unknown = replicad.load_latest_options(tmp_path / "db")
    assert options.families == {"a": FamilyOptions(block_bytes=1024)}
    assert unknown == {"families": {"a": {"later": 7}}}
    with replicad.open(tmp_path / "db", small_options(block_bytes=4096)) as db:
        assert any("families" in note for note in db.notes)
    assert replicad.load_latest_options(tmp_path / "db")[1] == unknown


def test_copies_do_not_point_to_the_log_of_the_original(tmp_path: Path) -> None:
    """A checkpoint's options lack `wal_dir`, so that opening with them keeps its log its own."""
    options = small_options(wal_dir=tmp_path / "wal-elsewhere")
    with replicad.open(tmp_path / "db", options) as db:
        fill(db, 10)
        assert replicad.load_latest_options(tmp_path / "db")[0] == options
        db.create_checkpoint(tmp_path / "copy")
        loaded, _ = replicad.load_latest_options(tmp_path / "copy")
        assert loaded == replace(options, wal_dir=None)
        with replicad.open(tmp_path / "copy", loaded) as copy:
            assert copy.digest() == db.digest()


def test_a_damaged_file_does_not_stop_an_opening(tmp_path: Path) -> None:
    """Reading a file that cannot be is an error that names it; opening says so and replaces it."""
    with replicad.open(tmp_path / "db", small_options()) as db:
        db.put(b"a", b"1")
    endless = b"memtables_max = " + b"[" * 100_000
    for damage in (
        b"no = toml = at all",
        b"block_bytes = 1",
        b'memtable_bytes = "many"',
        b"\xff\xfe",
        endless,
    ):
        file = tmp_path / "db" / names(tmp_path / "db")[-1]
        file.write_bytes(damage)
        with pytest.raises(ConfigError, match=file.name):
            replicad.load_latest_options(tmp_path / "db")
        with replicad.open(tmp_path / "db", small_options()) as db:
            assert db.get(b"a") == b"1"
            assert any(file.name in note for note in db.notes)
        assert replicad.load_latest_options(tmp_path / "db")[0] == small_options()


def test_a_directory_without_options_is_not_found(tmp_path: Path) -> None:
    """A directory without the file, or no directory, is NotFoundError; reading a database writes none."""
    with pytest.raises(replicad.NotFoundError):
        replicad.load_latest_options(tmp_path / "nothing")
    with replicad.open(tmp_path / "db", small_options()):
        pass
    (tmp_path / "db" / "OPTIONS-000001.toml").unlink()
    with open_database(tmp_path / "db", read_only=True):
        assert names(tmp_path / "db") == []


def test_a_digit_that_rots_is_no_other_option(tmp_path: Path) -> None:
    """A damaged file is named, with what is wrong; the next opening replaces it."""
    replicad.open(tmp_path / "db", small_options()).close()
    (file,) = (tmp_path / "db").glob("OPTIONS-*")
    file.write_bytes(file.read_bytes().replace(b"memtables_max = 3", b"memtables_max = 7"))
    with pytest.raises(replicad.CorruptionError) as caught:
        replicad.load_latest_options(tmp_path / "db")
    assert caught.value.path == file
    with replicad.open(tmp_path / "db", small_options()) as database:
        assert any("checksum" in note for note in database.notes)
    assert replicad.load_latest_options(tmp_path / "db") == (small_options(), {})

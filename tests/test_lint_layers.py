"""The check of the layers' order finds what it should, and this repository keeps the order."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.lint_layers import check


def breaches(tmp_path: Path, name: str, source: str) -> list[str]:
    path = tmp_path / "replicad" / name
    path.parent.mkdir(parents=True)
    path.write_text(source)
    return check(tmp_path / "replicad")


@pytest.mark.parametrize(
    ("name", "source"),
    [
        (
            "store/wal/writer.py",
            "from replicad import kernels\nfrom replicad.env import Env\nfrom . import x\n",
        ),
        ("cli/main.py", "from replicad.daemon import config\nimport typer, replicad\n"),
        ("state/lmdb_state.py", "import lmdb\nfrom replicad.errors import StoreError\n"),
        ("env/filesystem.py", "import os\nos.open('x', 0)\nopen('x')\n"),
    ],
)
def test_imports_of_lower_layers_are_in_order(tmp_path: Path, name: str, source: str) -> None:
    """Imports of lower layers, and env reaching the machine, are in order."""
    assert breaches(tmp_path, name, source) == []


@pytest.mark.parametrize(
    ("name", "source", "reason"),
    [
        ("store/database.py", "from replicad.replication import x", "may not import replication"),
        ("store/database.py", "def f():\n    import replicad.daemon.config\n", "may not import daemon"),
        ("store/wal/a.py", "from ...server import resp", "may not import server"),
        ("replication/session.py", "from replicad import backup", "may not import backup"),
        ("store/database.py", "from replicad import open", "may not import __init__"),
        ("server/state.py", "import lmdb", "only state may import lmdb"),
        ("store/a.py", "import time", "store imports time"),
        ("store/a.py", "import os\nos.fsync(3)", "store calls os.fsync()"),
        ("replication/a.py", "open('x')", "replication calls open()"),
        ("server/a.py", "await loop.create_server(f)", "server calls create_server"),
        ("daemon/a.py", "await asyncio.open_connection('h', 1)", "daemon calls open_connection"),
        ("misc.py", "", "'misc' has no place in the order"),
    ],
)
def test_an_import_upwards_or_sideways_is_reported(
    tmp_path: Path, name: str, source: str, reason: str
) -> None:
    """An import upwards or sideways, or a door that belongs to another part, is reported."""
    assert any(reason in breach for breach in breaches(tmp_path, name, source))


def test_every_file_of_the_package_keeps_the_order() -> None:
    """Every file of the package keeps the order."""
    assert check(Path(__file__).resolve().parent.parent / "replicad") == []

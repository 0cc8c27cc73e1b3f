"""`make install` stages a tree that works on its own and that systemd accepts."""

from __future__ import annotations

import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
UNITS = (
    "replicad-primary.service",
    "replicad-replica.service",
    "replicad-backup.service",
    "replicad-backup.timer",
)
TARGETS = (
    "sysinit",
    "basic",
    "shutdown",
    "multi-user",
    "network",
    "network-online",
    "timers",
    "time-sync",
    "time-set",
)


@pytest.fixture(scope="module")
def staged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tree of `make install DESTDIR=…`, without the libraries it would download."""
    if shutil.which("make") is None:
        pytest.skip("make is not installed")
    destination = tmp_path_factory.mktemp("staged")
    arguments = [f"DESTDIR={destination}", "PREFIX=/usr", "INSTALL_FLAGS=--no-deps"]
    done = subprocess.run(
        ["make", "install", *arguments], cwd=REPOSITORY, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    return destination


def test_everything_is_staged_where_the_paths_say_and_nothing_else(staged: Path) -> None:
    """Program, units, account and example configurations stand where the paths say, and nothing else."""
    found = {str(path.relative_to(staged)) for path in staged.rglob("*") if path.is_file()}
    outside = {name for name in found if not name.startswith("usr/lib/replicad/")}
    assert outside == {
        "usr/bin/replicad",
        *(f"usr/lib/systemd/system/{unit}" for unit in UNITS),
        "usr/lib/sysusers.d/replicad.conf",
        "etc/replicad/primary.toml.example",
        "etc/replicad/replica.toml.example",
    }


def test_the_staged_program_has_its_own_kernels(staged: Path) -> None:
    """The staged program has its own compiled kernels, not those of this checkout."""
    library = staged / "usr/lib/replicad"
    source = f"""
import sys
sys.path[:0] = [{str(library)!r}, {sysconfig.get_paths()["purelib"]!r}]
from replicad.kernels import _kernels
print(_kernels.__file__)
"""
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", source], capture_output=True, text=True, check=True
    )
    assert Path(done.stdout.strip()).is_relative_to(library)


def test_no_checkout_paths(staged: Path) -> None:
    """What is staged as text names neither the staging directory nor this checkout."""
    for path in (staged / "usr/bin", staged / "usr/lib/systemd", staged / "etc"):
        for file in path.rglob("*"):
            if file.is_file():
                text = file.read_text()
                assert str(staged) not in text
                assert str(REPOSITORY) not in text
                assert "@BINDIR@" not in text
                assert "@CONFDIR@" not in text


def test_systemd_finds_no_fault_in_the_staged_units(staged: Path) -> None:
    """systemd finds no fault in the staged units."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed: THE UNITS WERE NOT VERIFIED")
    # The targets that every unit depends on come from systemd itself, so the staged root needs some.
    for target in TARGETS:
        path = staged / f"usr/lib/systemd/system/{target}.target"
        path.write_text(f"[Unit]\nDescription={target}\n")
    try:
        command = ["systemd-analyze", "verify", "--man=no", f"--root={staged}", *UNITS]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    finally:
        for target in TARGETS:
            (staged / f"usr/lib/systemd/system/{target}.target").unlink()
    assert (done.returncode, done.stderr) == (0, "")


def test_the_starter_needs_nothing_that_the_units_cannot_see(staged: Path) -> None:
    """An interpreter below a home directory, which ProtectHome hides, comes along; the program starts with
    that one, wherever the tree is."""
    starter = staged / "usr/bin/replicad"
    text = starter.read_text()
    assert not any(f"{hidden}/" in text for hidden in ("/root", "/home", "/run/user"))
    python = staged / "usr/lib/replicad/python"
    if not python.is_dir():
        return  # the interpreter is one of the machine's
    (binary,) = (python / "bin").iterdir()
    source = "import ssl, sqlite3, sys; print(sys.prefix)"
    environment = {"LD_LIBRARY_PATH": str(python / "lib")}
    done = subprocess.run([binary, "-I", "-c", source], capture_output=True, text=True, env=environment)
    assert (done.stdout.strip(), done.stderr) == (str(python), "")

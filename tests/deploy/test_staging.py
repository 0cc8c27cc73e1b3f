"""`make install` stages a tree that works on its own and that systemd accepts."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from replicad.cli.exits import BAD_CONFIGURATION, DATA_DAMAGED, USAGE
from replicad.cli.health.runbook import Runbook

REPOSITORY = Path(__file__).resolve().parents[2]
UNITS = (
    "replicad-primary.service",
    "replicad-replica.service",
    "replicad-primary@.service",
    "replicad-replica@.service",
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
    """Program, units, account, examples and documents stand where the paths say, and nothing else."""
    found = {str(path.relative_to(staged)) for path in staged.rglob("*") if path.is_file()}
    elsewhere = ("usr/lib/replicad/", "usr/share/doc/replicad/")
    outside = {name for name in found if not name.startswith(elsewhere)}
    assert outside == {
        "usr/bin/replicad",
        *(f"usr/lib/systemd/system/{unit}" for unit in UNITS),
        "usr/lib/sysusers.d/replicad.conf",
        "usr/lib/tmpfiles.d/replicad.conf",
        "etc/replicad/failover.toml.example",
        "etc/replicad/primary.toml.example",
        "etc/replicad/replica.toml.example",
    }


def test_an_operator_has_the_runbook_without_a_network(staged: Path) -> None:
    """Each page that `status` names is there under that name."""
    documents = staged / "usr/share/doc/replicad"
    for named in Runbook:
        assert (documents / named.path).is_file(), named.path


def test_every_link_of_an_installed_page_leads_to_an_installed_file(staged: Path) -> None:
    """All pages, from wherever they lie; addresses of the web are not looked at."""
    pages = list((staged / "usr/share/doc/replicad").rglob("*.md"))
    assert len(pages) > 40
    broken = [
        (str(page.relative_to(staged)), target)
        for page in pages
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text())
        if not (page.parent / target).exists()
    ]
    assert broken == []


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
    # Targets come from systemd itself, and kill from the system: the staged root needs some.
    units = staged / "usr/lib/systemd/system"
    borrowed = [units / f"{target}.target" for target in TARGETS]
    for path in borrowed:
        path.write_text(f"[Unit]\nDescription={path.stem}\n")
    (staged / "bin").mkdir()
    borrowed.append(staged / "bin/kill")
    borrowed[-1].touch(mode=0o755)
    try:
        named = [unit.replace("@.", "@one.") for unit in UNITS]
        command = ["systemd-analyze", "verify", "--man=no", f"--root={staged}", *named]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    finally:
        for path in borrowed:
            path.unlink()
        (staged / "bin").rmdir()
    # One before 253 says that it does not know notify-reload, and stays with notify.
    said = [line for line in done.stderr.splitlines() if not line.endswith("ignoring: notify-reload")]
    assert (done.returncode, said) == (0, [])


@pytest.mark.parametrize("unit", [unit for unit in UNITS if unit.endswith(".service")])
def test_the_units_are_hardened(staged: Path, unit: str) -> None:
    """By the measure of systemd, on which 10 is a service that may do everything."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed: THE UNITS WERE NOT MEASURED")
    file = staged / "usr/lib/systemd/system" / unit
    command = ["systemd-analyze", "security", "--offline=true", "--threshold=15", "--no-pager", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout[-300:]
    assert "Overall exposure level" in done.stdout


@pytest.mark.parametrize("role", ["primary", "replica"])
def test_a_node_by_name_is_run_as_the_one_without(role: str) -> None:
    """The units differ in the name of the file and the directories only."""
    plain, named = (
        (REPOSITORY / "deploy/systemd" / f"replicad-{role}{at}.service").read_text() for at in ("", "@")
    )
    expected = plain.replace(f"@CONFDIR@/{role}.toml", "@CONFDIR@/%i.toml")
    expected = expected.replace(f"replicad/{role}", "replicad/%i").replace(f"{role}:", f"{role} %i:")
    expected = expected.replace(f"LoadCredential=replicad-{role}", "LoadCredential=replicad-%i")
    assert named == expected


def test_the_units_start_again_where_that_may_help() -> None:
    """Not after an exit code that says the same the next time."""
    never = f"RestartPreventExitStatus={USAGE} {DATA_DAMAGED} {BAD_CONFIGURATION}"
    for unit in UNITS[:4]:
        assert never in (REPOSITORY / "deploy/systemd" / unit).read_text().splitlines()


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


def test_what_was_installed_is_removed_and_nothing_else(staged: Path, tmp_path: Path) -> None:
    """An operator's configuration, and files of others beside ours, stay; twice is as good as once."""
    tree = tmp_path / "tree"
    shutil.copytree(staged, tree, symlinks=True)
    (tree / "etc/replicad/primary.toml").write_text("data = '/srv'\n")
    (tree / "usr/bin/other").write_text("")
    for _ in range(2):
        done = subprocess.run(
            ["make", "uninstall", f"DESTDIR={tree}", "PREFIX=/usr"],
            cwd=REPOSITORY,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
    left = {str(path.relative_to(tree)) for path in tree.rglob("*")}
    assert left == {"etc", "etc/replicad", "etc/replicad/primary.toml", "usr", "usr/bin", "usr/bin/other"}


def _stage(tree: Path, *arguments: str) -> None:
    places = {
        "prefix": "/opt/replicad",
        "sysconfdir": "/etc",
        "unitdir": "/usr/lib/systemd/system",
        "sysusersdir": "/usr/lib/sysusers.d",
        "tmpfilesdir": "/usr/lib/tmpfiles.d",
    }
    named = [word for name, place in places.items() for word in (f"--{name}", place)]
    command = [sys.executable, "deploy/stage.py", "--destdir", str(tree), *named, *arguments]
    subprocess.run(command, cwd=REPOSITORY, check=True, timeout=60)


def test_empty_directories_go_that_the_installation_made_and_no_others(tmp_path: Path) -> None:
    """An installation over another one makes none, and remembers those of the first. What was there before
    stays, empty or not, and so do the roots that the caller named."""
    before = ["etc", "usr/lib/sysusers.d", "opt/replicad/bin"]
    for path in before:
        (tmp_path / path).mkdir(parents=True)
    for _ in range(2):
        _stage(tmp_path, "--begin")
        _stage(tmp_path)
    _stage(tmp_path, "--remove")
    left = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")}
    assert left == {"etc", "usr", "usr/lib", "usr/lib/sysusers.d", "opt", "opt/replicad", "opt/replicad/bin"}
    _stage(tmp_path, "--remove")
    assert left == {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")}


def test_the_root_of_a_tree_stays(tmp_path: Path) -> None:
    """The one that DESTDIR names, and the one that PREFIX names in it."""
    tree = tmp_path / "a" / "tree"
    _stage(tree, "--begin")
    _stage(tree)
    _stage(tree, "--remove")
    assert [str(path.relative_to(tree)) for path in tree.rglob("*")] == ["opt", "opt/replicad"]

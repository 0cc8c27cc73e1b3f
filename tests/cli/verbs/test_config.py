"""`replicad config`: what is checked, what is shown, and the example that is printed."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from replicad.cli.exits import BAD_CONFIGURATION, OK, USAGE
from replicad.daemon.config import PrimaryConfig, ReplicaConfig, load_primary, load_replica
from replicad.daemon.config.keys import keys_of
from replicad.server.access.secrets import hash_password
from tests.support.certificates import Authority

Run = Callable[..., tuple[int, str, str]]
EXAMPLES = Path(__file__).resolve().parents[3] / "deploy" / "config"


def test_check_says_what_a_node_would_be(run: Run, tmp_path: Path) -> None:
    """The role follows from the file; a flag and a variable count as they do for the daemon."""
    code, out, err = run("config", "check", EXAMPLES / "primary.toml", "--data", tmp_path, "--http", ":7")
    assert (code, err) == (OK, "")
    assert out == (
        f"OK: a primary with its data in {tmp_path}, clients at 127.0.0.1:6380, replicas at 127.0.0.1:6381, "
        "HTTP at 127.0.0.1:7; 6 values set\n"
    )
    code, out, err = run("config", "check", EXAMPLES / "replica.toml", "--data", tmp_path)
    assert (code, err) == (OK, "")
    assert out.startswith(f"OK: a replica of 127.0.0.1:6381 with its data in {tmp_path}, ")


def test_check_shows_each_thing_that_is_wrong(run: Run, tmp_path: Path) -> None:
    """A line each, on standard error, with the code for a wrong configuration; so does show."""
    file = tmp_path / "node.toml"
    file.write_text('data = "/d"\nlisen = ":1"\n[link]\nship = "soon"\n')
    for verb in ("check", "show"):
        code, out, err = run("config", verb, file)
        assert (code, out) == (BAD_CONFIGURATION, "")
        assert err.splitlines() == [
            f"replicad: {file}:2: lisen is not a key: did you mean listen?",
            f'replicad: {file}:4: link.ship = "soon": it takes "written" or "durable"',
        ]
    code, out, err = run("config", "check", tmp_path / "none.toml")
    assert (code, out) == (BAD_CONFIGURATION, "")
    assert "none.toml: No such file" in err


def test_check_reads_the_files_that_are_named(run: Run, tmp_path: Path) -> None:
    """A certificate that is not there would end the node at its start."""
    authority = Authority.make(tmp_path / "ca")
    cert, key = authority.node("p")
    file, password = tmp_path / "node.toml", tmp_path / "password"
    file.write_text(
        f'data = "/d"\n[tls]\ncert_file = "{cert}"\nkey_file = "{key}"\nca_file = "{authority.ca}"\n'
        f'[users.a]\nroles = ["read"]\npassword_file = "{password}"\n'
    )
    password.touch(mode=0o600)
    password.write_text(hash_password("p"))
    assert run("config", "check", file)[0] == OK
    cert.unlink()
    password.unlink()
    code, out, err = run("config", "check", file)
    assert (code, out) == (BAD_CONFIGURATION, "")
    first, second = err.splitlines()
    assert str(cert) in first
    assert f"users.a: {password}: No such file" in second


def test_show_says_where_each_value_was_set(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Default, file and line, variable, flag."""
    file = tmp_path / "node.toml"
    file.write_text('data = "/d"\n[store.families."a b"]\nblock_bytes = 4096\n[link]\nack_seconds = 1.0\n')
    monkeypatch.setenv("REPLICAD_LINK__SHIP", "durable")
    code, out, err = run("config", "show", file, "--origin", "--durability", "async")
    assert (code, err) == (OK, "")
    for line in (
        f'data = "/d"  # {file}:1',
        "# http is not set",
        'durability = "async"  # --durability',
        "memtable_bytes = 67_108_864  # default",
        '[store.families."a b"]',
        f"block_bytes = 4096  # {file}:3",
        'ship = "durable"  # REPLICAD_LINK__SHIP',
        f"ack_seconds = 1.0  # {file}:5",
    ):
        assert line in out.splitlines()


@pytest.mark.parametrize("origin", [[], ["--origin"]])
def test_what_is_shown_is_the_same_configuration(run: Run, tmp_path: Path, origin: list[str]) -> None:
    """It can be read back, and every key is there."""
    file, again = tmp_path / "node.toml", tmp_path / "again.toml"
    file.write_text(
        'data = "/a\\u007f\\\\b\\"c"\nname = "n"\nprimary = "[::1]:5"\n[link]\nsynchronous = "any 1"\n'
        "[store.families.x]\nblock_bytes = 4096\n[backup]\nkeep_log_seconds = 1e9\n"
        '[users."a.b"]\nroles = ["read", "write"]\nfamilies = ["x"]\n[tls]\nallow = ["n"]\n'
        '[links.paris]\nsource = "127.0.0.1:7"\nprefixes = ["eu:"]\n'
    )
    again.write_text(run("config", "show", file, *origin)[1])
    assert load_replica(again) == load_replica(file)
    for key in keys_of(ReplicaConfig):
        assert re.search(rf"^(# )?{key.path[-1]} (=|is not set)", again.read_text(), re.MULTILINE), key.dotted


@pytest.mark.parametrize(
    ("role", "load", "kind"),
    [("primary", load_primary, PrimaryConfig), ("replica", load_replica, ReplicaConfig)],
)
def test_the_example_has_every_key_with_its_default(
    run: Run,
    tmp_path: Path,
    role: str,
    load: Callable[[Path], PrimaryConfig | ReplicaConfig],
    kind: type[PrimaryConfig] | type[ReplicaConfig],
) -> None:
    """As it is printed it can be used; with every default uncommented it says the same."""
    code, text, err = run("config", "example", role)
    assert (code, err) == (OK, "")
    file = tmp_path / "node.toml"
    file.write_text(text)
    printed = load(file)
    assert str(printed.data) == f"/var/lib/replicad/{role}"

    unnamed = re.sub(r"^# \[[\w.]+NAME\]\n(#.*\n)*", "", text, flags=re.MULTILINE)
    file.write_text(re.sub(r"^# (\w+ = (?=\S))", r"\1", unnamed, flags=re.MULTILINE))
    assert file.read_text() != text
    assert load(file) == printed

    for key in keys_of(kind):
        assert re.search(rf"^(# )?{key.path[-1]} =", text, re.MULTILINE), key.dotted


def test_the_example_is_of_a_primary_unless_it_is_asked_for_another(run: Run) -> None:
    """Another role than the two is refused."""
    assert run("config", "example") == run("config", "example", "primary")
    code, _, err = run("config", "example", "both")
    assert (code, err) == (USAGE, "replicad: 'both' is neither primary nor replica\n")


def test_the_example_is_whole_without_docstrings() -> None:
    """`python -OO` drops those; the text of the options is read in their source."""
    probe = "from replicad.cli.main import main; main(['config', 'example'])"
    whole, optimized = (
        subprocess.run([sys.executable, *flags, "-c", probe], capture_output=True, text=True, timeout=60)
        for flags in ([], ["-OO"])
    )
    assert whole.stdout == optimized.stdout != ""

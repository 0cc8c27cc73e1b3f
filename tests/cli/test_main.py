"""The command line as a whole: help, usage errors, exit codes, start-up."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from collections.abc import Callable

import pytest

from replicad.cli.exits import BAD_CONFIGURATION, STORAGE_FAILED, UNREACHABLE, USAGE, exit_code
from replicad.errors import ConfigError, CorruptionError, PoisonedError

Run = Callable[..., tuple[int, str, str]]


def test_the_help_names_every_verb_and_every_exit_code(run: Run) -> None:
    """The help names every verb with an example and every exit code."""
    code, out, err = run("--help")
    assert (code, err) == (0, "")
    for word in (
        "status",
        "top",
        "verify",
        "digest",
        "updates",
        "checkpoint",
        "inspect",
        "Exit codes:",
        "Examples:",
    ):
        assert word in out


def test_without_arguments_the_help_is_shown(run: Run) -> None:
    """Without arguments the help is shown, and the exit code says that nothing was done."""
    code, out, _ = run()
    assert code == USAGE
    assert "Usage: replicad" in out


@pytest.mark.parametrize(
    "arguments", [["stauts"], ["digest"], ["updates", ":1", "--since", "x"], ["verify", "."], ["status", ""]]
)
def test_a_wrong_command_line_is_one_line_and_exit_code_2(run: Run, arguments: list[str]) -> None:
    """A command line that cannot be meant is one line on stderr and exit code 2."""
    code, out, err = run(*arguments)
    assert (code, out) == (USAGE, "")
    assert err.startswith("replicad: ")
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "verb"),
    [(["stauts"], "replicad"), (["slot"], "replicad slot"), (["slot", "drop"], "replicad slot drop")],
)
def test_usage_error_says_whose_help_explains(run: Run, arguments: list[str], verb: str) -> None:
    """The hint is that of the verb that was typed."""
    assert run(*arguments)[2].endswith(f"({verb} --help explains)\n")


@pytest.mark.parametrize("verb", [["digest"], ["backup", "create", "/nowhere", "--from"]])
def test_a_node_that_does_not_answer_is_exit_code_3(run: Run, verb: list[str]) -> None:
    """A node that does not answer is exit code 3, and the line names its address."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        port = held.getsockname()[1]
        code, _, err = run(*verb, f"127.0.0.1:{port}")
    assert code == UNREACHABLE
    assert err == f"replicad: 127.0.0.1:{port}: connection refused\n"


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (PoisonedError("sync"), STORAGE_FAILED),
        (ConfigError("key"), BAD_CONFIGURATION),
        (CorruptionError("block"), 1),
    ],
)
def test_errors_that_scripts_tell_apart_have_their_own_exit_codes(error: Exception, code: int) -> None:
    """Errors that units and scripts tell apart have codes of their own."""
    assert exit_code(error) == code


def test_a_closed_pipe_ends_the_program_quietly(filled: object) -> None:
    """Whoever stops reading the output ends the program quietly."""
    command = f"{sys.executable} -m replicad updates {filled} --since 1 | head -1"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=30)
    assert len(done.stdout.splitlines()) == 1
    assert done.stderr == ""


def test_help_is_there_without_docstrings() -> None:
    """`python -OO` drops those; the verbs of the list keep a line each."""
    probe = "from replicad.cli.main import main; main([]); main(['backup', 'purge', '--help'])"
    done = subprocess.run([sys.executable, "-OO", "-c", probe], capture_output=True, text=True, timeout=60)
    for text in ("A key-value store that survives its machine.", "Run a primary:", "Delete old backups,"):
        assert text in done.stdout


@pytest.mark.parametrize(
    "verb", ["status", "verify", "top", "bench", "inspect", "backup create", "certs node"]
)
def test_help_shows_names_and_not_the_types_of_python(run: Run, verb: str) -> None:
    """`NODE`, and not `NODE <list[str]>`."""
    code, out, err = run(*verb.split(), "--help")
    assert (code, err) == (0, "")
    for shown in re.findall(r"<[a-z]\w*[^>]*>", out):
        pytest.fail(f"{verb} --help shows {shown}")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shells_complete_verbs(shell: str) -> None:
    """`--show-completion` prints what a shell needs, and asked by it the program names verbs."""
    program = [sys.executable, "-m", "replicad"]
    shown = subprocess.run([*program, "--show-completion", shell], capture_output=True, text=True, timeout=60)
    assert shown.returncode == 0 and "COMPLETE" in shown.stdout
    asked = subprocess.run(
        [sys.executable, "-c", "import sys; from replicad.cli.main import main; sys.exit(main([]))"],
        env={
            **os.environ,
            "_REPLICAD_COMPLETE": "complete_bash",
            "COMP_WORDS": "replicad sw",
            "COMP_CWORD": "1",
        },
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert asked.stdout.split() == ["switchover"]

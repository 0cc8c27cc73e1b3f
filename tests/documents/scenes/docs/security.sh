"""docs/security.md, executed: the commands of the page as they stand, in an empty directory."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = Path(__file__).resolve().parents[2] / "docs" / "security.md"
SECONDS_MAX = 120

# The page has people wait for what they see; a script waits for the same.
UNTIL = """
until_() { for _ in $(seq 600); do if "$@" > /dev/null 2>&1; then return; fi; sleep 0.1; done; "$@"; }
"""
WAITS = {
    'mkdir -p "${XDG_CONFIG_HOME': "until_ test -S paris/node.sock; until_ test -S lyon/node.sock\n",
    "replicad switchover": ("until_ sh -c 'replicad status 127.0.0.2:7380 --json | grep -q streaming'\n"),
    "curl --silent": 'until_ sh -c \'replicad status 127.0.0.2:7380 --json | grep -q "\\"streaming\\""\'\n',
}


def script() -> str:
    """The blocks of the page, each with what a person would wait for before it."""
    blocks = re.findall(r"```sh\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert len(blocks) >= 8
    lines = [UNTIL, "set -eu"]
    for block in blocks:
        wait = next((each for start, each in WAITS.items() if block.startswith(start)), "")
        lines += [wait, block]
    return "\n".join(lines)


@pytest.mark.skipif(
    shutil.which("redis-cli") is None or shutil.which("curl") is None,
    reason="*** redis-cli or curl is not installed: the page about security is not executed ***",
)
def test_the_page_works_as_it_stands(tmp_path: Path) -> None:
    """Two nodes with certificates and users: a switchover, a verification, a backup, a restore, a scrape."""
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "HOME": str(tmp_path),
        "XDG_CONFIG_HOME": str(tmp_path / "config"),
    }
    # The nodes are in the group of the script: they end with it.
    with (tmp_path / "output").open("w") as output:
        process = subprocess.Popen(
            ["bash", "-c", script()],
            cwd=tmp_path,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            code = process.wait(SECONDS_MAX)
        finally:
            os.killpg(process.pid, signal.SIGKILL)
    said = (tmp_path / "output").read_text()
    assert code == 0, said
    assert "OK: a primary" in said and "OK: a replica" in said
    assert "NOPERM User app has no permissions to run the 'shutdown' command" in said
    assert "127.0.0.3:7380 is the primary" in said
    metrics = (tmp_path / "metrics.txt").read_text()
    assert "replicad_build_info" in metrics
    assert (tmp_path / "restored" / "CURRENT").exists()
    # No secret is anywhere but in its file.
    token = (tmp_path / "app.token").read_text().strip()
    for place in ("output", "paris/log", "lyon/log", "metrics.txt", "shared.toml"):
        assert token not in (tmp_path / place).read_text(), place

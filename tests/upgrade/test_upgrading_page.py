"""docs/upgrading.md, executed: its commands as they stand, with two nodes that an older build left."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

from replicad.cli.demonstration.processes import HOST
from tests.upgrade.builds import ROOT
from tests.upgrade.sample import SAMPLES
from tests.upgrade.test_older_builds import unpacked

PAGE = ROOT / "docs" / "upgrading.md"
SECONDS_MAX = 120

# The page has people wait for what they see; a script waits for the same.
BEFORE = """
until_() { for _ in $(seq 600); do if "$@" > /dev/null 2>&1; then return; fi; sleep 0.1; done; "$@"; }
set -eu
replicad primary --config first.toml 2>> first.log &
replicad replica --config second.toml 2>> second.log &
"""
WELL = "until_ replicad status --check 127.0.0.1:7480 127.0.0.1:7490\n"
CONFIG = """
data = "{data}"
listen = "{host}:{clients}"
replication = "{host}:{replication}"
"""


def script() -> str:
    blocks = re.findall(r"```sh\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert len(blocks) >= 5
    return "\n".join([BEFORE, *(WELL + block if "status" in block else block for block in blocks), WELL])


def test_the_page_works_as_it_stands(tmp_path: Path) -> None:
    """Two nodes of an older build are upgraded one by one, with a switchover, and are equal at the end."""
    unpacked(min(SAMPLES.glob("*.tar.gz")), tmp_path)
    for name, clients, more in (("first", 7480, ""), ("second", 7490, f'primary = "{HOST}:7481"\n')):
        settings = CONFIG.format(data=tmp_path / name, host=HOST, clients=clients, replication=clients + 1)
        (tmp_path / f"{name}.toml").write_text(settings + more)
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
    logs = "".join((tmp_path / f"{name}.log").read_text()[-2000:] for name in ("first", "second"))
    said = (tmp_path / "output").read_text()
    assert code == 0, said + logs
    assert f"{HOST}:7490 is the primary" in said
    assert f"{HOST}:7480 is the primary" in said
    assert (tmp_path / "before" / "meta" / "1.json").exists()

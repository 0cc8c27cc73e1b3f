"""One client of Node.js that a test drives.

`make ioredis` has npm install what `tests/integration/ioredis/package-lock.json` names; `make check` does so.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
CLIENT = ROOT / "tests" / "integration" / "ioredis" / "client.js"
INSTALLED = ROOT / "build" / "ioredis"
VERSIONS = {"ioredis-5": 12, "ioredis-6": 20}
"""Each with the oldest Node.js that it runs on."""


def node_version() -> int:
    """0 where there is none."""
    node = shutil.which("node")
    if node is None:
        return 0
    said = subprocess.run([node, "--version"], capture_output=True, text=True, check=True).stdout
    return int(said.lstrip("v").partition(".")[0])


needs_ioredis = pytest.mark.skipif(
    node_version() == 0 or not (INSTALLED / ".installed").exists(),
    reason="*** node is not installed, or `make ioredis` did not install ioredis ***",
)


class Client:
    """One process with one client."""

    def __init__(self, version: str, **options: Any) -> None:
        if node_version() < VERSIONS[version]:
            pytest.skip(f"*** {version} needs Node.js {VERSIONS[version]} ***")
        self._process = subprocess.Popen(
            ["node", str(CLIENT), json.dumps({"module": version, **options})],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={"NODE_PATH": str(INSTALLED / "node_modules"), "PATH": "/usr/local/bin:/usr/bin:/bin"},
        )

    def do(self, *step: Any) -> Any:
        """What the step returns; raises RuntimeError with the message of its error."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(json.dumps(step) + "\n")
        self._process.stdin.flush()
        reply = json.loads(self._process.stdout.readline())
        if "error" in reply:
            raise RuntimeError(reply["error"])
        return reply["ok"]

    def end(self) -> None:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.close()
        self._process.stdout.close()
        self._process.kill()
        self._process.wait()

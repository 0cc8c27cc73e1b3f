"""A machine for the commands of one page: an empty directory, ports that are free, programs that stand in.

Absolute paths of the page lie below the directory, and each port is one that is free, so that pages run side
by side on any machine. Nodes are in the process group of the script, and end with it.
"""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from replicad.cli.demonstration.ports import free_ports
from tests.documents.blocks import REPOSITORY, Block, name_of
from tests.documents.scenes import Scene

HERE = Path(__file__).resolve().parent
SECONDS_MAX = 280
SKIPPED = 77
"""The exit code of a scene that this machine cannot play, as automake has it."""

_PLACES = re.compile(r"(?<![\w./$~-])/(?=(?:var|etc|srv|tmp|mnt|run)\b)")
_PORTS = re.compile(r"(?<![\w.])(?:63[89]\d|64\d\d|7[34][89]\d|23(?:79|80))\b")
STANDARD_PORTS = ("6380", "6381", "6382", "6390", "6391", "6392", "2379", "2380")


class Machine:
    def __init__(self, root: Path) -> None:
        self.root = root
        self.home = root / "home"
        self.home.mkdir(parents=True)
        self.said = root / "said"
        self._ports: dict[str, str] = {}

    def script(self, blocks: list[Block], scene: Scene) -> str:
        """The blocks that are executed, each with what stands around it."""
        programs = [block for block in blocks if block.kind == "python"]
        shells = [block for block in blocks if block.kind == "sh"]
        lines = [f". {HERE / 'library.sh'}", self.placed(scene.given)]
        for block in blocks:
            before, after, may_fail = self.placed(scene.at("before", block)), scene.at("after", block), False
            if block.kind == "sh":
                body = self.placed(block.text)
            elif block.kind == "toml":
                body = self._config(block)
            elif block.kind == "python" and block is programs[0]:
                body = self._program(programs)
            else:
                continue

            if block.is_of_runbook and block is shells[0]:
                # "See it": what is wrong shows, and a node that does not answer is an exit code.
                may_fail = True
                if scene.is_simulated:
                    before += _until(f"{{ {body.strip()} || true; }} 2>&1 | grep -qF {name_of(block.page)}")
            elif block.is_of_runbook and block is shells[-1] and "--check" in body:
                before += _until(body.strip())
            lines += [
                before,
                f"echo '+++ {block}'; trap 'cat {self.said}' EXIT",
                "set +e" if may_fail else ":",
                f"{{ {body}\n}} > {self.said} 2>&1",
                f"set -e; trap - EXIT; cat {self.said}",
                self.placed(after),
            ]
        return "\n".join([*lines, self.placed(scene.end)])

    def run(self, script: str, within: Sequence[str] = ()) -> tuple[int, str]:
        """Exit code and output of the script and of the nodes. `within` is a command that runs another."""
        for port in STANDARD_PORTS:
            self._port(port)
        environment = {
            **os.environ,
            **{f"P{name}": number for name, number in self._ports.items()},
            "PATH": f"{HERE / 'stand_ins'}:{Path(sys.executable).parent}:{os.environ['PATH']}",
            "ROOT": str(self.root),
            "REPOSITORY": str(REPOSITORY),
            "REPLICAD": str(Path(sys.executable).parent / "replicad"),
            "PYTHON": sys.executable,
            "SAID": str(self.said),
            "HOME": str(self.home),
            "XDG_CONFIG_HOME": str(self.home / "config"),
        }
        for place in ("work", "tmp", "srv", "mnt", "etc/replicad", "var/lib/replicad", "var/backups"):
            (self.root / place).mkdir(parents=True)
        with (self.root / "output").open("w") as output:
            process = subprocess.Popen(
                [*within, "bash", "-c", script],
                cwd=self.root / "work",
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            try:
                code = process.wait(SECONDS_MAX)
            finally:
                with contextlib.suppress(ProcessLookupError):  # it left no node
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                self._unmount()
        return code, (self.root / "output").read_text(errors="replace")

    def _unmount(self) -> None:
        """What a scene mounted below the directory."""
        for line in Path("/proc/mounts").read_text().splitlines():
            if (place := line.split()[1]).startswith(f"{self.root}/"):
                subprocess.run(["umount", "-l", place], check=False)

    def placed(self, text: str) -> str:
        """The text with the paths and ports of this machine."""
        text = _PLACES.sub(f"{self.root}/", text)
        return _PORTS.sub(lambda match: self._port(match[0]), text)

    def _port(self, name: str) -> str:
        if name not in self._ports:
            (number,) = free_ports(1)
            self._ports[name] = str(number)
        return self._ports[name]

    def _program(self, programs: list[Block]) -> str:
        path = self.root / "program.py"
        path.write_text(self.placed("\n".join(block.text for block in programs)))
        return f"python {path}"

    def _config(self, block: Block) -> str:
        path = self.root / f"block-{block.line}.toml"
        data = (
            "" if re.search(r"^data =", block.text, re.MULTILINE) else 'data = "/var/lib/replicad/primary"\n'
        )
        path.write_text(self.placed(data + block.text))
        return f"replicad config check {path}"


def _until(command: str) -> str:
    """Waits until the command succeeds."""
    return f"\nuntil_ sh -c {shlex.quote(command)}\n"

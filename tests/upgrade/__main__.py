"""`make upgrade FROM=REVISION`: two nodes of an older build become this one under writes, and go back.

    1  a primary and a replica of the older build; a backup by the older build
    2  the replica runs this build; a switchover to it; the old primary runs this build
    3  what was acknowledged is on both, and `verify` finds both equal
    4  this build verifies and restores the older build's backup
    5  each node runs the older build again, or is refused with a message, and nothing of it is changed

Prints a line for each step. Ends with 1 at the first step that does not hold.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from replicad.cli.demonstration.ports import HOST
from tests.support.command import run
from tests.support.waiting import eventually
from tests.upgrade.builds import Build, build_of, this_build
from tests.upgrade.directories import contents
from tests.upgrade.nodes import Node, Writer


class Upgrade:
    def __init__(self, old: Build, directory: Path) -> None:
        self.old, self.new = old, this_build()
        self.directory = directory
        self.first = Node(directory, "first", "primary")
        self.second = Node(directory, "second", "replica")
        self.second.primary = self.first
        self.nodes = [self.first, self.second]
        self.writer = Writer(self.nodes)
        self._began = time.monotonic()

    def say(self, text: str) -> None:
        count = len(self.writer.acknowledged)
        print(f"{time.monotonic() - self._began:6.1f} s  {count:6} writes  {text}", flush=True)

    def replicad(self, build: Build, *arguments: str) -> str:
        done = subprocess.run(
            [*build.program, *arguments],
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
            cwd=self.directory if build is self.old else None,
        )
        assert done.returncode == 0, f"replicad {' '.join(arguments)}: {done.stdout}{done.stderr}"
        return done.stdout

    def run(self) -> None:
        first, second = self.nodes
        first.start(self.old)
        second.start(self.old)
        self.writer.start()
        self.writer.grows()
        self.say(f"both nodes are {self.old.name}")

        target = self.directory / "backups"
        self.replicad(self.old, "backup", "create", "--node", f"{HOST}:{first.port}", str(target))
        self.say("the older build made a backup")

        self._exchange(second, self.new)
        self._switch(self.new, first, second)
        self._exchange(first, self.new)
        self._compare(self.new)
        self._restore(target)
        self._back()
        self.writer.stop()

    def _exchange(self, node: Node, build: Build) -> None:
        node.stop()
        node.start(build)
        eventually(lambda: node.is_role("replica"), 60)
        self.writer.grows()
        self.say(f"{node.name} runs {build.name} and follows")

    def _switch(self, build: Build, before: Node, after: Node) -> None:
        self.replicad(build, "switchover", f"{HOST}:{before.port}", "--to", f"{HOST}:{after.port}")
        eventually(lambda: after.is_role("primary") and before.is_role("replica"), 60)
        self.writer.grows()
        self.say(f"{after.name} is the primary")

    def _compare(self, build: Build) -> None:
        addresses = [f"{HOST}:{node.port}" for node in self.nodes]
        self.replicad(build, "verify", *addresses)
        for node in self.nodes:
            expected = dict(self.writer.acknowledged)
            last = max(expected)

            def holds(node: Node = node, last: bytes = last) -> bool:
                with node.client() as client:
                    return client.get(last) is not None

            eventually(holds)
            with node.client() as client:
                keys = sorted(expected)
                for begin in range(0, len(keys), 500):
                    part = keys[begin : begin + 500]
                    assert client.mget(part) == [expected[key] for key in part], f"{node.name} lost writes"
        self.say("both hold every acknowledged write, and verify finds them equal")

    def _restore(self, target: Path) -> None:
        self.replicad(self.new, "backup", "verify", str(target))
        restored = self.directory / "restored"
        self.replicad(self.new, "backup", "restore", str(target), str(restored))
        self.replicad(self.new, "digest", str(restored))
        self.say("this build verified and restored the older build's backup")

    def _back(self) -> None:
        """The replica first, then a switchover to it, then the other."""
        second, first = self.second, self.first
        if (said := self._downgrade(first)) is not None:
            self.say(f"{self.old.name} refuses the directory: {said}")
            first.start(self.new)
            eventually(lambda: first.is_role("replica"), 60)
            self.say(f"{first.name} runs this build again and follows")
            return
        self._switch(self.new, second, first)
        second.stop()
        second.start(self.old)
        eventually(lambda: second.is_role("replica"), 60)
        self.writer.grows()
        self.say(f"both nodes run {self.old.name} again")
        self._compare(self.old)

    def _downgrade(self, node: Node) -> str | None:
        node.stop()
        before = contents(node.data)
        said = node.refusal(self.old)
        if said is not None:
            changed = sorted(
                name for name, digest in contents(node.data).items() if before.get(name) != digest
            )
            assert "version" in said, f"a refusal that names no version: {said}"
            assert not changed, f"the refusal changed {', '.join(changed)}"
            return said
        eventually(lambda: node.is_role("replica"), 60)
        self.writer.grows()
        self.say(f"{node.name} runs {self.old.name} again and follows")
        return None

    def end(self) -> None:
        for node in self.nodes:
            node.end()


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.upgrade", description=__doc__)
    parser.add_argument("--from", dest="revision", required=True, help="a revision of git: the older build")
    arguments = parser.parse_args()
    old = build_of(arguments.revision)
    with tempfile.TemporaryDirectory(prefix="replicad-upgrade-") as name:
        upgrade = Upgrade(old, Path(name))
        try:
            upgrade.run()
        except AssertionError as error:
            print(f"failed: {error}", file=sys.stderr)
            for node in upgrade.nodes:
                print(
                    f"-- {node.name} ({node.build.name if node.build else 'never started'})", file=sys.stderr
                )
                print(node.tail() if node.log.exists() else "", file=sys.stderr)
            return 1
        finally:
            upgrade.end()
    print(json.dumps({"from": arguments.revision, "writes": len(upgrade.writer.acknowledged), "ok": True}))
    return 0


if __name__ == "__main__":
    run(main)

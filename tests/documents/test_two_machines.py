"""docs/security.md, executed in two network namespaces that only a link joins, as two machines are."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.documents.blocks import REPOSITORY, blocks
from tests.documents.machine import Machine
from tests.documents.scenes import scene_of

ADDRESSES = {"127.0.0.2": "10.213.0.2", "127.0.0.3": "10.213.0.3"}
"""What stands for the machines in the page, and their addresses here."""
LINK = "link0"


@dataclass(frozen=True, slots=True)
class Machines:
    """Names of the namespaces."""

    paris: str
    lyon: str

    def in_paris(self, *command: str) -> str:
        return _run("ip", "netns", "exec", self.paris, *command)


def _run(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


@pytest.fixture
def machines() -> Iterator[Machines]:
    """Two namespaces and a pair of virtual links; skips where this process may not make them."""
    made = Machines(f"replicad-{os.getpid()}-paris", f"replicad-{os.getpid()}-lyon")
    if shutil.which("ip") is None:
        pytest.skip("*** ip is not installed: the page about security is not executed on two machines ***")
    try:
        try:
            _run("ip", "netns", "add", made.paris)
            _run("ip", "netns", "add", made.lyon)
            _run(
                *("ip", "-n", made.paris, "link", "add", "name", LINK, "type", "veth"),
                *("peer", "name", LINK, "netns", made.lyon),
            )
        except subprocess.CalledProcessError as error:
            pytest.skip(
                f"*** network namespaces are not permitted ({error.stderr.strip()}): the page about security "
                f"is executed on one machine only ***"
            )
        for namespace, address in zip((made.paris, made.lyon), ADDRESSES.values(), strict=True):
            _run("ip", "-n", namespace, "address", "add", f"{address}/24", "dev", LINK)
            _run("ip", "-n", namespace, "link", "set", LINK, "up")
            _run("ip", "-n", namespace, "link", "set", "lo", "up")
        yield made
    finally:
        for namespace in (made.paris, made.lyon):
            subprocess.run(["ip", "netns", "delete", namespace], capture_output=True, check=False)


@pytest.mark.skipif(
    shutil.which("redis-cli") is None or shutil.which("curl") is None,
    reason="*** redis-cli or curl is not installed: the page about security is not executed ***",
)
def test_the_page_works_on_two_machines(tmp_path: Path, machines: Machines) -> None:
    """The primary is in one namespace, all else in the other: nothing but the link carries what they say."""
    page = REPOSITORY / "docs" / "security.md"
    machine = Machine(tmp_path)
    text = machine.script(blocks(page), scene_of(page))
    for there, here in ADDRESSES.items():
        text = text.replace(there, here)
    start = "replicad primary --config paris/node.toml"
    assert start in text
    text = text.replace(start, f"ip netns exec {machines.paris} {start}")

    code, said = machine.run(text, within=("ip", "netns", "exec", machines.lyon))
    received = int(machines.in_paris("cat", f"/sys/class/net/{LINK}/statistics/rx_bytes"))
    assert code == 0, said
    assert "10.213.0.3" in said and "is the primary" in said
    # The link carried it.
    assert received > 10_000

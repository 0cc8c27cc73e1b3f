"""Ports that are given out: to one program only, also while nothing listens there yet."""

from __future__ import annotations

import os
import socket
import subprocess
import sys

from replicad.cli.demonstration.ports import BLOCK, HOST, PORTS, Ports, free_ports

PROGRAM = """
from replicad.cli.demonstration.ports import free_ports
print(*free_ports(2000), flush=True)
input()
"""


def test_no_port_is_given_to_two_programs() -> None:
    programs = [
        subprocess.Popen(
            [sys.executable, "-c", PROGRAM], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(3)
    ]
    given: list[str] = []
    for program in programs:
        assert program.stdout is not None
        given += program.stdout.readline().split()
    for program in programs:
        program.communicate("\n")
    assert len(given) == 3 * 2000
    assert len(set(given)) == len(given)


def test_no_port_is_given_twice_while_there_are_others() -> None:
    given = free_ports(3 * BLOCK)
    assert len(set(given)) == 3 * BLOCK
    assert set(given) <= set(PORTS)


def test_a_port_where_somebody_listens_is_left_out() -> None:
    ports = Ports()
    (first,) = ports.take(1)
    start = PORTS.start + (first - PORTS.start) // BLOCK * BLOCK
    with socket.create_server((HOST, start + 1)):
        assert start + 1 not in ports.take(BLOCK - 1)


def test_a_forked_child_takes_ports_of_its_own() -> None:
    parent = set(free_ports(1))
    read, write = os.pipe()
    if (child := os.fork()) == 0:
        os.write(write, " ".join(map(str, free_ports(BLOCK))).encode())
        os._exit(0)
    os.waitpid(child, 0)
    os.close(write)
    with os.fdopen(read) as said:
        its = {int(word) for word in said.read().split()}
    assert len(its) == BLOCK
    assert its.isdisjoint(parent | set(free_ports(BLOCK - 1)))


def test_when_all_are_taken_those_of_this_program_come_again() -> None:
    """A test run of hours takes more ports than there are."""
    among = range(11000, 11000 + 3 * BLOCK)
    ports = Ports(among)
    first = ports.take(3 * BLOCK)
    assert set(first) == set(among)
    assert ports.take(2 * BLOCK) == first[: 2 * BLOCK]
    assert len(Ports(among).take(BLOCK)) == BLOCK  # and of nobody, where a program has none

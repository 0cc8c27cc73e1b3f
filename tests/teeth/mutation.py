"""A named mutation: one place of our code made wrong on purpose, and the tests that must notice.

The lists of them, one for each idea, are put together in `every.py`, by the trap that each one falls into.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

TRAPS = {
    1: "Directory entries: a name is not durable until its directory is synced, and order counts",
    2: "A failed fsync leaves pages marked clean: a retry lies",
    3: "Recovered is not durable: what is readable may be in the page cache only",
    4: "Torn tail or corruption: lower bounds of what was synced decide",
    5: "Two stores cannot commit together: the manifest and the log decide, LMDB only shows",
    6: "Hard-linked copies: only what is sealed and synced is linked, all of it of one moment",
    7: "File numbers are not identities: SHA-256 and size are",
    8: "Clocks jump: wall-clock time is data only",
    9: "Acknowledged and shipped is only what is durable",
    10: "The empty or older primary must not wipe its replicas",
    11: "Gaps: what does not follow is an error, always",
    12: "Cancellation and partial appends: one writer owns the file, and stops at a failure",
    13: "A full disk refuses, keeps reading, and heals",
    14: "Restoring never deletes first, and a copy that is written is a database of its own",
    15: "Slots fill disks: every slot has a cap, and the disk a floor",
    16: "Hostile input: nothing is believed that a peer or a client says",
    17: "An assert with an effect disappears under -O",
    18: "An exception can arrive at any bytecode: what changes together changes in one step",
    19: "fork copies descriptors and memory, not locks and threads",
    20: "Names of applications and names of ours never share a directory",
    21: "Another machine's clock decides nothing about removal",
    22: "What passes its checksum can still mean nonsense: what the manifest refuses is never applied",
    23: "A target can be another one than yesterday, or one that syncs nothing: it has an identity",
    24: "The same bytes in other pieces mean the same commands",
    25: "Work bounds a turn, not the number of commands",
    26: "A claim of a peer changes a role only with its proof",
    27: "Log output can block or fail, and never holds the program",
    28: "What others can make grow has a limit and an age",
    29: "What counts over all counts over all of one database",
    31: "What comes by several ways is applied once, and the newest write stays everywhere",
    32: "One leader at a time: nothing is taken for granted that etcd, a clock or a peer did not say",
    30: "Directories vanish under running processes, and interpreters end while threads run",
}


class Stale(Exception):
    """The text that a mutation changes is no longer there, or there more than once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutation:
    """`old` occurs exactly once in `file`, which is relative to the repository."""

    trap: int
    name: str
    file: str
    old: str
    new: str
    caught_by: tuple[str, ...]
    """pytest's node ids. The quickest that should fail; all of them pass without the mutation."""
    hangs: bool = False
    """The wrong code may wait for ever, so that running out of time counts as caught."""

    def applied(self, text: str) -> str:
        """The file's text with the mutation; raises Stale."""
        count = text.count(self.old)
        if count != 1:
            raise Stale(f"{self.name}: {self.file} has its old text {count} times; write the mutation anew")
        return text.replace(self.old, self.new)

    @property
    def is_compiled(self) -> bool:
        return self.file.endswith(".cc")

    def apply(self, tree: Path) -> None:
        """Changes the file in a copy of the repository."""
        path = tree / self.file
        path.write_text(self.applied(path.read_text()))

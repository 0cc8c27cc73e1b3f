"""The node state: what survives, what another process sees, what damage does."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import msgpack
import pytest

from replicad.env import Env, LocalFileSystem
from replicad.errors import CorruptionError, NotFoundError
from replicad.state import BootstrapProgress, NodeState, Shown, Slot, VerificationRecord
from replicad.state.records import NodeRecord, decode, encode

SHOWN = Shown(
    role="primary",
    database_id=b"d" * 16,
    position="1:7:00000000000000ff",
    primary_address=None,
    link=None,
    at_us=5,
)
PROGRESS = BootstrapProgress(
    copy_id=b"c" * 16,
    position="1:7:00000000000000ff",
    files=1,
    files_total=2,
    size_bytes=10,
    size_bytes_total=20,
    started_us=3,
)


def test_the_node_id_is_made_once(tmp_path: Path) -> None:
    """A reopened state has the node id it was made with; another directory has another."""
    first = NodeState(Env(), tmp_path / "a")
    made = first.node_id
    first.close()
    again, other = NodeState(Env(), tmp_path / "a"), NodeState(Env(), tmp_path / "b")
    assert again.node_id == made != other.node_id
    again.close()
    other.close()


def test_what_is_put_is_there_after_reopening(tmp_path: Path) -> None:
    """Shown, bootstrap progress, a verification and slots survive a reopening; some can be removed."""
    state = NodeState(Env(), tmp_path)
    slots = [Slot(node_id=bytes([n]) * 16, sequence=n, seen_us=n) for n in (1, 2)]
    state.show(SHOWN)
    state.show_bootstrap(PROGRESS)
    verification = VerificationRecord(at_us=1 << 50, sequence=7, doubt="damaged: 000001.sst")
    state.put_verification(verification)
    for slot in slots:
        state.put_slot(slot)
    state.close()
    state = NodeState(Env(), tmp_path)
    view = state.view()
    assert (view.shown, view.bootstrap, list(view.slots)) == (SHOWN, PROGRESS, slots)
    assert view.verification == verification
    state.show_bootstrap(None)
    state.remove_slot(slots[0].node_id)
    assert state.view().bootstrap is None
    assert state.view().slots == (slots[1],)
    state.close()


def test_its_name_is_durable_before_it_is_used(tmp_path: Path) -> None:
    """LMDB syncs what is in its files; their names are durable when the state is open, also for one that was
    made by a process that died before that."""
    synced: list[list[str]] = []

    class Noting(LocalFileSystem):
        def sync_directory(self, path: Path) -> None:
            super().sync_directory(path)
            if path == tmp_path / "state":
                synced.append(sorted(file.name for file in path.iterdir()))

    for times in (1, 2):
        NodeState(Env(fs=Noting()), tmp_path).close()
        assert len(synced) == times
        assert "data.mdb" in synced[-1]


def test_another_process_reads_it_while_it_is_open(tmp_path: Path) -> None:
    """`NodeState.read` works in another process while this one writes, and after it closed."""
    program = (
        "import json, sys, pathlib; from replicad.state import NodeState;"
        "view = NodeState.read(pathlib.Path(sys.argv[1]));"
        "print(json.dumps([view.identity.node_id.hex(), view.shown.position]))"
    )
    state = NodeState(Env(), tmp_path)
    state.show(SHOWN)
    expected = [state.node_id.hex(), SHOWN.position]
    seen = subprocess.run([sys.executable, "-c", program, str(tmp_path)], capture_output=True, check=True)
    assert json.loads(seen.stdout) == expected
    state.close()
    view = NodeState.read(tmp_path)
    assert [view.identity.node_id.hex(), view.shown and view.shown.position] == expected


def test_absence_and_damage_are_typed_errors(tmp_path: Path) -> None:
    """A directory without state is NotFoundError, a damaged one CorruptionError naming the file."""
    with pytest.raises(NotFoundError):
        NodeState.read(tmp_path)
    NodeState(Env(), tmp_path).close()
    (tmp_path / "state" / "data.mdb").write_bytes(b"garbage " * 2048)
    with pytest.raises(CorruptionError, match=r"data\.mdb"):
        NodeState.read(tmp_path)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xc1",
        msgpack.packb([1]),
        msgpack.packb({"node_id": b"n"}),
        msgpack.packb({"node_id": "text", "created_us": 1}),
        msgpack.packb({"node_id": b"n", "created_us": True}),
        msgpack.packb({"node_id": b"n", "created_us": [[]]}),
        msgpack.packb({"node_id": b"n" * 5000, "created_us": 1}),
        encode(NodeRecord(node_id=b"n", created_us=1)) + b"x",
    ],
)
def test_a_record_is_decoded_strictly(data: bytes) -> None:
    """Anything but a record of the right shape within the limits is a CorruptionError."""
    with pytest.raises(CorruptionError, match="NodeRecord"):
        decode(NodeRecord, data)


def test_an_unknown_key_is_ignored() -> None:
    """A record of a newer version with one key more is still read."""
    assert decode(NodeRecord, msgpack.packb({"node_id": b"n", "created_us": 1, "more": 2})).created_us == 1

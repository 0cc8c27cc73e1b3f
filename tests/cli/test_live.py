"""The verbs on running nodes: real servers over real databases, in this process."""

from __future__ import annotations

import hashlib
import json
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import replicad
from replicad.cli.exits import DIFFERENT, ERROR, UNREACHABLE, USAGE
from replicad.cli.nodes.client import Client
from replicad.cli.nodes.comparison import _Deadline, _write_mark, compare_nodes, late_because
from replicad.cli.nodes.node import DirectoryNode, LiveNode
from replicad.errors import ReplyError, UnreachableError
from replicad.options import KIB, Options
from replicad.server.replies import Value, bulk, encode, error
from replicad.store.database import open_database
from replicad.store.marks import MarkId
from replicad.units import show_time
from tests.cli.conftest import RECORDS
from tests.server.harness import FakeNode, RunningServer
from tests.support.waiting import eventually

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., RunningServer]]:
    """Starts servers over new databases, and ends them."""
    running: list[RunningServer] = []

    def start() -> RunningServer:
        options = Options(durability="async", segment_bytes=16 * KIB, memtable_bytes=64 * KIB)
        running.append(RunningServer(open_database(tmp_path / f"node-{len(running)}", options)))
        return running[-1]

    yield start
    for server in running:
        server.close()


def write(server: RunningServer, number: int) -> None:
    batch = replicad.WriteBatch()
    batch.put(b"key:%06d" % number, b"value \xff %d" % number)
    batch.put_log_data(b"note %d" % number)
    server.store.write(batch)


def test_status_shows_nodes_that_run_beside_one_that_is_down(
    run: Run, serve: Callable[..., RunningServer]
) -> None:
    """A running node's own status document is shown, and one that is down does not hide it."""
    server = serve()
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        code, out, err = run("status", f":{server.port}", f":{held.getsockname()[1]}", "--json")
    up, down = json.loads(out)
    assert code == 3
    assert up["role"] == "primary"
    assert "connection refused" in down["error"]
    assert err.count("\n") == 1


def test_status_is_a_page_with_the_reason_in_it_and_on_stderr(
    run: Run, serve: Callable[..., RunningServer]
) -> None:
    """A pipe has the page; stderr keeps its one line for a node that cannot be reached."""
    code, out, err = run("status", f":{serve().port}", ":1")
    first, *_, last = out.splitlines()
    assert code == UNREACHABLE
    assert first == "CRITICAL  :1: cannot be reached: connection refused"
    assert "\x1b" not in out
    assert last.endswith("critical")
    assert err == "replicad: 127.0.0.1:1: connection refused\n"


def _answering(data: bytes) -> socket.socket:
    """A port whose first connection gets this, and is closed."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve_one() -> None:
        connection, _ = listener.accept()
        connection.recv(1000)
        connection.sendall(data)
        connection.close()

    threading.Thread(target=serve_one, daemon=True).start()
    return listener


@pytest.mark.parametrize(
    ("scheme", "data", "state", "why", "remedy", "page"),
    [
        ("redis", b"", "UNKNOWN", "does it speak TLS", "its client port (`listen`)?", "refused-status"),
        ("redis", b"HTTP/1.1 400 no", "UNKNOWN", "its HTTP port?", "name its client port", "refused-status"),
        ("rediss", b"+OK\r\n-ERR no", "UNKNOWN", "does not speak TLS", "leave --tls", "refused-status"),
        (
            "redis",
            b"-ERR max number of clients reached\r\n",
            "CRITICAL",
            "takes no more clients",
            "replicad status unix:PATH",
            "clients-limit",
        ),
    ],
)
def test_status_names_what_is_wrong_with_a_port_that_answers(
    run: Run, scheme: str, data: bytes, state: str, why: str, remedy: str, page: str
) -> None:
    """It does not ask whether the daemon runs: something does."""
    with _answering(data) as port:
        _, out, _ = run("status", f"{scheme}://127.0.0.1:{port.getsockname()[1]}")
    first, do, see, *_ = out.splitlines()
    assert first.startswith(state)
    assert why in first
    assert remedy in do
    assert f"runbook/{page}.md" in see


def test_full_shows_everything_that_a_node_says(run: Run, serve: Callable[..., RunningServer]) -> None:
    """Without a judgement, one fact a line."""
    code, out, _ = run("status", f":{serve().port}", "--full")
    assert code == 0
    assert "writable" in out and "well" not in out


@pytest.mark.parametrize(
    ("arguments", "code", "line"),
    [
        ([":{port}"], 0, "REPLICAD OK: 1 node well | '127.0.0.1:{port} replicas'=0;1:;;0\n"),
        ([":{port}", ":1"], 2, "REPLICAD CRITICAL: :1: cannot be reached: connection refused | "),
        ([":{port}", "--lag-seconds", "x"], 3, "REPLICAD UNKNOWN: --lag-seconds 'x' is not N or N,M\n"),
        ([":{port}", "--lag-bytes", "1,2,3"], 3, "REPLICAD UNKNOWN: --lag-bytes '1,2,3' is not N or N,M\n"),
        (
            [":{port}", "--json"],
            3,
            "REPLICAD UNKNOWN: --full, --json and --check are three forms: choose one",
        ),
        (["."], 3, "REPLICAD UNKNOWN: .: does not say how it is: . holds no database"),
        (["nothing"], 3, "REPLICAD UNKNOWN: 'nothing' is neither HOST:PORT nor an existing data directory\n"),
    ],
)
def test_check_answers_a_monitoring_system(
    run: Run, serve: Callable[..., RunningServer], arguments: list[str], code: int, line: str
) -> None:
    """One line on stdout, none on stderr; a wrong command line is not CRITICAL."""
    port = serve().port
    outcome = run("status", "--check", *(each.format(port=port) for each in arguments))
    assert outcome[0] == code
    assert outcome[1].startswith(line.format(port=port))
    assert (outcome[1].count("\n"), outcome[2]) == (1, "")


def test_a_node_that_accepts_and_says_nothing_costs_its_timeout(run: Run) -> None:
    """The kernel accepts for a node that stands still; the answer never comes."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        code, out, err = run("status", f":{silent.getsockname()[1]}", "--timeout", "0.2")
    assert code == UNREACHABLE
    assert "cannot be reached: no answer" in out
    assert "no answer" in err


def test_a_slot_that_is_not_there(run: Run, serve: Callable[..., RunningServer]) -> None:
    """The name is in the line; the command was not wrong, so it is no usage error."""
    code, _, err = run("slot", "drop", f":{serve().port}", "nope")
    assert code == ERROR
    assert "no slot is called nope" in err


def test_updates_come_over_many_calls_each_once_and_in_order(
    run: Run, serve: Callable[..., RunningServer]
) -> None:
    """All batches come, over many calls, each once and in order."""
    server = serve()
    for number in range(1, 1301):
        write(server, number)
    server.store.wait_durable(1300, 10)
    _, out, _ = run("updates", f":{server.port}", "--since", 1, "--json")
    batches = [json.loads(line) for line in out.splitlines()]
    assert [batch["annotations"] for batch in batches] == [[f"note {n}"] for n in range(1, 1301)]
    assert batches[0]["operations"][0]["value"] == {"hex": (b"value \xff 1").hex()}


def test_updates_since_a_time(run: Run, serve: Callable[..., RunningServer]) -> None:
    """A running node finds where the time begins; it says so when its log begins too late."""
    server = serve()
    for number in range(1, 31):
        write(server, number)
    server.store.wait_durable(30, 10)
    times = [update.commit_time for update in server.store.get_updates_since(1)]
    _, out, _ = run("updates", f":{server.port}", "--since-time", show_time(times[20]), "--json")
    shown = [json.loads(line)["commit_time_us"] for line in out.splitlines()]
    assert shown == [time for time in times if time >= times[20]]
    server.store.create_base_copy(server.store.path.with_name("copy"))
    copy = RunningServer(open_database(server.store.path.with_name("copy"), Options()))
    try:
        code, out, err = run("updates", f":{copy.port}", "--since-time", show_time(times[20]))
    finally:
        copy.close()
    assert (code, out) == (ERROR, "")
    assert "31" in err


def test_verify_waits_until_nodes_stand_at_one_sequence_number(
    run: Run, serve: Callable[..., RunningServer]
) -> None:
    """Nodes that are apart are compared when they stand at one sequence number."""
    ahead, behind = serve(), serve()
    for number in range(1, 5):
        write(ahead, number)
    write(behind, 1)
    asked = behind.server.state.stats.counts.commands

    def catch_up() -> None:
        eventually(lambda: behind.server.state.stats.counts.commands > asked)
        for number in range(2, 5):
            write(behind, number)

    later = threading.Thread(target=catch_up)
    later.start()
    code, out, _ = run("verify", f":{ahead.port}", f":{behind.port}", "--timeout", 20)
    later.join()
    assert code == 0
    assert out.startswith("equal at sequence number 4: ")


def test_a_mark_waits_for_a_role_that_changes(tmp_path: Path) -> None:
    """A primary that hands over its role writes no mark: it is asked again, until the time is over."""

    class Changing(FakeNode):
        changes_for = 2

        def holds_writes(self) -> bool:
            self.changes_for -= 1
            return self.changes_for >= 0

    node = Changing()
    server = RunningServer(open_database(tmp_path / "node", Options()), node)
    said: list[str] = []
    try:
        live = LiveNode("127.0.0.1", server.port)
        assert _write_mark(live, MarkId(b"m" * 16), _Deadline(20), said.append) == 1
        node.changes_for = 1 << 30
        with pytest.raises(ReplyError, match="TRYAGAIN"):
            _write_mark(live, MarkId(b"n" * 16), _Deadline(0), said.append)
        live.close()
    finally:
        server.close()
    assert len(said) == 2


def test_verify_names_the_first_key_that_only_one_node_holds(
    run: Run, serve: Callable[..., RunningServer]
) -> None:
    """The first key that only one node holds is named, with exit code 4."""
    servers = serve(), serve()
    for number in range(1, 600):
        write(servers[0], number)
        write(servers[1], number if number != 300 else 1000)
    code, _, err = run("verify", *(f":{server.port}" for server in servers))
    assert code == DIFFERENT
    assert "key key:000300 is in" in err and "and 1 more" in err


def test_verify_says_where_a_node_stands_that_stays_behind(
    run: Run, serve: Callable[..., RunningServer]
) -> None:
    """A node that stays behind ends the waiting with where it stands."""
    ahead, behind = serve(), serve()
    write(ahead, 1)
    code, _, err = run("verify", f":{ahead.port}", f":{behind.port}", "--timeout", 0.3)
    assert code == ERROR
    assert "stands at 0 and did not reach 1" in err


def test_verify_waits_for_data(run: Run, serve: Callable[..., RunningServer]) -> None:
    """A replica that has no data yet is waited for, and is then compared."""
    server = serve()
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        loading = listener.getsockname()[1]

        positions = [b"1:0:0000000000000000", None, None]
        nothing: list[Value] = [b"", 0, hashlib.sha256().digest()]
        replies: dict[bytes, Value] = {
            b"STATUS": b'{"role": "replica"}',
            b"SNAPSHOT": 0,
            b"FAMILIES": [0, [[0, b"default"]]],
            b"DIGESTS": [nothing],
            b"RELEASE": b"OK",
        }

        def answer() -> None:
            connection, _ = listener.accept()
            with connection:
                while asked := connection.recv(4096):
                    if b"POSITION" in asked:
                        position = positions.pop()
                        reply = error("LOADING no data yet") if position is None else bulk(position)
                    else:
                        (found,) = (value for word, value in replies.items() if word in asked)
                        reply = encode(found, 2)
                    connection.sendall(reply)

        thread = threading.Thread(target=answer)
        thread.start()
        code, out, _ = run("verify", f":{server.port}", f":{loading}", "--timeout", 20)
        thread.join(10)
    assert code == 0
    assert out.splitlines()[-1].startswith("equal at sequence number 0: ")


def test_a_running_node_makes_a_checkpoint_that_opens_at_its_position(
    run: Run, serve: Callable[..., RunningServer], tmp_path: Path
) -> None:
    """A running node makes a checkpoint that opens at its position."""
    server = serve()
    for number in range(1, 10):
        write(server, number)
    code, out, _ = run("checkpoint", f":{server.port}", tmp_path / "copy", "--json")
    assert code == 0
    with replicad.open(tmp_path / "copy", read_only=True) as copy:
        assert json.loads(out)["position"] == str(copy.position)
        assert copy.get(b"key:000009") == b"value \xff 9"


def test_a_backup_from_a_client_port(run: Run, tmp_path: Path) -> None:
    """Whoever confuses the two ports of a node is told."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        thread = threading.Thread(target=lambda: listener.accept()[0].sendall(b"-ERR unknown command\r\n"))
        thread.start()
        code, _, err = run("backup", "create", "--from", f":{port}", tmp_path / "target")
        thread.join()
    assert code == UNREACHABLE
    assert err.startswith(f"replicad: 127.0.0.1:{port} does not answer as a replication address; ")


def test_replies_of_a_long_pipeline_come_in_order(serve: Callable[..., RunningServer]) -> None:
    """Replies of a long pipeline come in order, errors in their places."""
    server = serve()
    with Client("127.0.0.1", server.port) as client:
        commands: list[tuple[bytes | str | int, ...]] = [("SET", n, b"x" * 5000) for n in range(RECORDS)]
        commands += [("NONSENSE",), *(("GET", n) for n in range(2000))]
        replies = list(client.pipeline(commands))
        assert replies[:RECORDS] == [b"OK"] * RECORDS
        assert isinstance(replies[RECORDS], ReplyError)
        assert replies[RECORDS + 1 : 2 * RECORDS + 1] == [b"x" * 5000] * RECORDS
        assert replies[2 * RECORDS + 1 :] == [None] * (2000 - RECORDS)


def test_something_else_that_listens_is_an_error_with_its_address() -> None:
    """Something else that listens is an error with its address, not a crash."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        thread = threading.Thread(target=lambda: listener.accept()[0].sendall(b"220 mail\r\n"))
        thread.start()
        with (
            Client("127.0.0.1", port) as client,
            pytest.raises(UnreachableError, match="not the client port"),
        ):
            client.call("PING")
        thread.join()


def test_a_node_that_closes_the_connection_is_unreachable() -> None:
    """A node that closes the connection is unreachable."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        thread = threading.Thread(target=lambda: listener.accept()[0].close())
        thread.start()
        with (
            Client("127.0.0.1", port) as client,
            pytest.raises(UnreachableError, match=r"closed the connection|reset"),
        ):
            client.call("PING")
        thread.join()


def test_a_path_that_cannot_be_written(run: Run, serve: Callable[..., RunningServer], tmp_path: Path) -> None:
    """The node's system says why, and the node names the path."""
    server = serve()
    file = tmp_path / "file"
    file.touch()
    code, _, err = run("checkpoint", f":{server.port}", file / "copy")
    assert code == ERROR
    assert str(file) in err
    assert err.endswith(": Not a directory\n")


def test_verify_with_a_node_that_dies(run: Run, serve: Callable[..., RunningServer]) -> None:
    """A node that goes away in the middle is unreachable, and is said to be."""
    server = serve()
    write(server, 1)
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        dying = listener.getsockname()[1]

        def answer() -> None:
            connection, _ = listener.accept()
            with connection:
                while b"SNAPSHOT" not in (asked := connection.recv(4096)):
                    position = bulk(b"1:1:0000000000000000")
                    connection.sendall(bulk(b'{"role": "replica"}') if b"STATUS" in asked else position)
                connection.sendall(encode(1, 2))
                listener.close()

        thread = threading.Thread(target=answer)
        thread.start()
        code, _, err = run("verify", f":{server.port}", f":{dying}", "--timeout", 20)
        thread.join(10)
    assert code == UNREACHABLE
    assert err == f"replicad: 127.0.0.1:{dying}: connection refused\n"


def test_verify_needs_different_nodes(run: Run, serve: Callable[..., RunningServer], tmp_path: Path) -> None:
    """A node equals itself, which proves nothing: it is refused."""
    address = f":{serve().port}"
    for nodes in (
        (address, f"127.0.0.1{address}"),
        (tmp_path / "node-0", f"{tmp_path}/node-0/../node-0"),
    ):
        code, out, err = run("verify", *nodes)
        assert (code, out) == (USAGE, "")
        assert "is named twice" in err


def test_what_verify_shows_ends_before_its_error() -> None:
    """On a terminal the line that says what is waited for is cleared, also when that fails."""
    said: list[str] = []

    class Away(DirectoryNode):
        def sequence(self) -> int | None:
            said.append("asked")
            raise ReplyError("ERR nothing here")

    with pytest.raises(ReplyError):
        compare_nodes([Away(Path("/nowhere"))] * 2, 1.0, progress=said.append)
    assert said == ["asked", ""]


def test_verify_waits_no_longer_than_it_is_told_to(
    run: Run, serve: Callable[..., RunningServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A node that takes connections and answers nothing is not waited for beyond the whole time."""
    server = serve()
    waits: list[float] = []
    set_timeout = Client.set_timeout

    def noting(client: Client, seconds: float | None) -> None:
        waits.append(-1.0 if seconds is None else seconds)
        set_timeout(client, seconds)

    monkeypatch.setattr(Client, "set_timeout", noting)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        port = silent.getsockname()[1]
        code, _, err = run("verify", "--timeout", "0.3", f":{server.port}", f":{port}")
    assert code != 0 and "in time" in err
    assert waits and max(waits) <= 0.3


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        pytest.param({"role": "primary"}, None, id="a primary"),
        pytest.param({"role": "primary", "apply": {"delay_seconds": 60.0}}, None, id="was delayed before"),
        pytest.param({"role": "replica", "apply": {"delay_seconds": 0.0, "paused": False}}, None, id="well"),
        pytest.param({"role": "replica", "apply": None}, None, id="has no data"),
        pytest.param(
            {"role": "replica", "apply": {"delay_seconds": 3600.0}}, "applies 1h00m late", id="delayed"
        ),
        pytest.param(
            {"role": "replica", "apply": {"delay_seconds": 0, "paused": True}}, "is paused", id="paused"
        ),
    ],
)
def test_which_nodes_verify_leaves_out(document: dict[str, object], expected: str | None) -> None:
    """It does not wait for what applies late on purpose."""
    assert late_because(document) == expected

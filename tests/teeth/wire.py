"""Hostile input: requests, messages, lists of files, tables and documents that mean harm."""

from __future__ import annotations

from tests.teeth.mutation import Mutation

STREAM = "tests/replication/test_stream.py::"
STAGING = "tests/replication/copy/test_staging.py::"
SIMPLE = "tests/server/test_simple_commands.py::"

WIRE = (
    # 16: hostile input
    Mutation(
        trap=16,
        name="any file name is taken",
        file="replicad/replication/copy/staging.py",
        old="        if NAME.fullmatch(entry.name) is None:\n",
        new="        if NAME.match(entry.name) is None:\n",
        caught_by=(f"{STAGING}test_names_outside_the_pattern_are_refused",),
    ),
    Mutation(
        trap=16,
        name="a file may be longer than the list says",
        file="replicad/replication/copy/staging.py",
        old="        if self.offset + len(data) > self._entry.size:\n",
        new="        if False:\n",
        caught_by=(f"{STAGING}test_a_file_of_another_content_is_refused",),
    ),
    Mutation(
        trap=16,
        name="files of a list may take more than was announced",
        file="replicad/replication/copy/staging.py",
        old="    if total != size_bytes:\n",
        new="    if False:\n",
        caught_by=(f"{STAGING}test_lists_that_do_not_add_up_are_refused",),
    ),
    Mutation(
        trap=16,
        name="an acknowledgement above what was sent is believed",
        file="replicad/replication/primary/sender.py",
        old="        if not self.sent >= ack.received >= max(ack.applied, ack.durable):\n",
        new="        if not ack.received >= max(ack.applied, ack.durable):\n",
        caught_by=(f"{STREAM}test_an_impossible_acknowledgement_ends_the_session",),
        hangs=True,
    ),
    Mutation(
        trap=16,
        name="names at a backup's target may lead elsewhere",
        file="replicad/backup/directory_target.py",
        old='        if any(part in ("", ".", "..") or "\\0" in part for part in parts):\n',
        new="        if False:\n",
        caught_by=("tests/backup/test_targets.py::test_names_stay_beneath",),
    ),
    Mutation(
        trap=16,
        name="a glob may take exponential time",
        file="replicad/server/glob.py",
        old='b"(?>.*?" + run',
        new='b"(?:.*?" + run',
        caught_by=("tests/server/test_glob.py::test_many_stars_end_soon",),
        hangs=True,
    ),
    Mutation(
        trap=16,
        name="a header's array has any length",
        file="replicad/replication/wire/headers.py",
        old="            max_array_len=1024,\n",
        new="            max_array_len=1 << 16,\n",
        caught_by=("tests/replication/wire/test_framing.py::test_limits_hold_for_what_no_version_knows",),
    ),
    Mutation(
        trap=16,
        name="a header has any number of arrays",
        file="replicad/replication/wire/headers.py",
        old="            list_hook=count,\n",
        new="",
        caught_by=("tests/replication/wire/test_framing.py::test_a_header_of_empty_arrays_does_not_unfold",),
    ),
    Mutation(
        trap=16,
        name="a replica may ask for a file that is not in the list",
        file="replicad/replication/copy/serve_copy.py",
        old="        if fetch.entry >= len(entries):\n",
        new="        if False:\n",
        caught_by=("tests/replication/test_held_log.py::test_only_bytes_of_the_list_are_sent",),
    ),
    Mutation(
        trap=16,
        name="a replica may ask for bytes outside of a file",
        file="replicad/replication/copy/serve_copy.py",
        old="        if not fetch.offset <= end <= entry.size:\n",
        new="        if False:\n",
        caught_by=("tests/replication/test_held_log.py::test_only_bytes_of_the_list_are_sent",),
    ),
    Mutation(
        trap=16,
        name="a primary may send bytes that nobody asked for",
        file="replicad/replication/copy/fetch.py",
        old="        if not isinstance(message, Data) or (message.entry, message.offset) != "
        "(piece.entry, piece.offset):\n",
        new="        if not isinstance(message, Data):\n",
        caught_by=("tests/replication/copy/test_fetch.py::test_bytes_that_nobody_asked_for_are_refused",),
    ),
    Mutation(
        trap=16,
        name="a list of files may never end",
        file="replicad/replication/copy/fetch.py",
        old="        if not isinstance(part, Files) or part.first != len(entries) or not part.entries:\n",
        new="        if not isinstance(part, Files):\n",
        caught_by=(
            "tests/replication/test_proposals.py::test_a_list_that_does_not_go_on_or_never_ends_is_refused",
        ),
    ),
    Mutation(
        trap=16,
        name="a block decompresses to what its index claims",
        file="replicad/kernels/table/sealed_block.cc",
        old="  if (handle.raw_length > reachable) {\n",
        new="  if (false) {\n",
        caught_by=(
            "tests/store/table/test_declared_sizes.py::test_a_block_that_claims_to_decompress_to_gigabytes_is_refused",
        ),
    ),
    Mutation(
        trap=16,
        name="unknown keys of the configuration are ignored",
        file="replicad/daemon/config/load.py",
        old="        if reason := refusal_of_path(setting, keys):\n",
        new="        if refusal_of_path(setting, keys):\n            continue\n        if reason := None:\n",
        caught_by=("tests/daemon/config/test_load.py::test_what_is_wrong_is_named",),
    ),
    Mutation(
        trap=16,
        name="a reload swaps parts before all of them are prepared",
        file="replicad/daemon/reload.py",
        old="        swaps = [prepare(changes.running) for prepare in self._parts]\n",
        new="        swaps = []\n"
        "        for prepare in self._parts:\n"
        "            prepare(changes.running)()\n",
        caught_by=("tests/daemon/test_reload.py::test_a_part_that_refuses_keeps_all_others_from_changing",),
    ),
    Mutation(
        trap=16,
        name="a reload takes the users away from an address that stays open",
        file="replicad/daemon/config/changes.py",
        old="    return Changes(_checked(old.model_copy(update=update)), ",
        new="    return Changes(old.model_copy(update=update), ",
        caught_by=("tests/daemon/config/test_changes.py::test_users_cannot_go_while_others_reach_the_node",),
    ),
    Mutation(
        trap=16,
        name="a rule that comes while writes wait is not asked of replicas",
        file="replicad/replication/primary/waits.py",
        old="            self._ask(EVERYTHING)\n        self.changed()\n",
        new="            pass\n        self.changed()\n",
        caught_by=(
            "tests/replication/primary/test_waits.py::"
            "test_a_rule_that_changes_counts_for_the_writes_that_wait",
        ),
    ),
    Mutation(
        trap=16,
        name="clients may take every file descriptor",
        file="replicad/daemon/process/supervise.py",
        old="    clients_max = min(config.clients.clients_max, limit // 2)\n",
        new="    clients_max = config.clients.clients_max\n",
        caught_by=("tests/daemon/test_descriptors.py",),
    ),
    Mutation(
        trap=16,
        name="a client's pipeline is done to its end before others have a turn",
        file="replicad/server/execution.py",
        old="            turn = min(len(backlog), TURN_COMMANDS)\n",
        new="            turn = len(backlog)\n",
        caught_by=("tests/server/test_hostile.py::test_a_client_that_sends_much_leaves_others_their_turns",),
    ),
    Mutation(
        trap=16,
        name="what a command releases ends its client's turn",
        file="replicad/server/connection.py",
        old="        if execution.is_executing or wire.is_closing:\n",
        new="        if wire.is_closing:\n",
        caught_by=(
            "tests/server/test_order.py::test_the_end_of_input_in_the_middle_of_a_turn_loses_no_reply",
        ),
    ),
    Mutation(
        trap=16,
        name="a client is read on before others have a turn",
        file="replicad/server/connection.py",
        old="        if port.more:\n            self._execution.yield_turn()\n",
        new="        if port.more:\n            self.settle()\n",
        caught_by=("tests/server/test_hostile.py::test_a_client_that_sends_much_leaves_others_their_turns",),
    ),
    # 24: pieces
    Mutation(
        trap=24,
        name="a request ends where a piece of bytes does",
        file="replicad/server/requests.py",
        old="        requests, error = with_words(self._parser.feed(data))\n",
        new="        if self._parser.unfinished and data.startswith(b'$'):\n"
        "            data = b'*1\\r\\n' + data\n"
        "        requests, error = with_words(self._parser.feed(data))\n",
        caught_by=("tests/server/test_requests.py::test_every_cut_gives_the_same_requests",),
    ),
    Mutation(
        trap=24,
        name="an error in the words of a line is passed over",
        file="replicad/server/requests.py",
        old='            return requests, "unbalanced quotes in request"\n',
        new="            continue\n",
        caught_by=("tests/server/test_requests.py::test_every_cut_gives_the_same_requests",),
    ),
    # 24: what the kernel executes by itself
    Mutation(
        trap=24,
        name="a simple command overtakes one that Python has",
        file="replicad/server/connection.py",
        old="        port.direct = client.may_be_direct and not (execution.backlog or client.stopped)\n",
        new="        port.direct = client.may_be_direct and not execution.backlog\n",
        caught_by=(f"{SIMPLE}test_nothing_overtakes_a_command_under_way",),
    ),
    Mutation(
        trap=24,
        name="the kernel writes where no writes are taken",
        file="replicad/server/server.py",
        old="            return kernels.TAKES_ALL if writes else kernels.TAKES_READS\n"
        "        return kernels.TAKES_READS if",
        new="            return kernels.TAKES_ALL if writes else kernels.TAKES_READS\n"
        "        return kernels.TAKES_ALL if",
        caught_by=(f"{SIMPLE}test_a_node_that_takes_no_writes_reads_in_the_kernel",),
    ),
    Mutation(
        trap=24,
        name="the kernel comes in between the pieces of a command",
        file="replicad/server/server.py",
        old="        if self.pieces.under_way or state.monitors",
        new="        if state.monitors",
        caught_by=("tests/server/test_pieces.py::test_nothing_comes_in_between_the_commands_of_a_long_exec",),
    ),
    Mutation(
        trap=24,
        name="a write of the kernel leaves its annotations behind",
        file="replicad/server/client_state.py",
        old="        return self.queued is None and not self.annotations and not self.watched.versions\n",
        new="        return self.queued is None and not self.watched.versions\n",
        caught_by=(f"{SIMPLE}test_annotations_are_not_forgotten",),
    ),
    Mutation(
        trap=24,
        name="what the last turn left is never executed",
        file="replicad/server/connection.py",
        old="        if port.more and port.direct and not self._holds_enough():\n",
        new="        if False:\n",
        caught_by=("tests/server/test_hostile.py::test_a_client_that_sends_much_leaves_others_their_turns",),
        hangs=True,
    ),
)

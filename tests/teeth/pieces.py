"""Work that nobody bounds, and commands in pieces that others come in between."""

from __future__ import annotations

from tests.teeth.mutation import Mutation

TESTS = "tests/server/test_pieces.py::"
WINDOW = "tests/replication/copy/test_copy_window.py::"

PIECES = (
    # 25: turns
    Mutation(
        trap=25,
        name="a turn ends by the number of commands only",
        file="replicad/server/execution.py",
        old="                if at > ends_at:\n",
        new="                if False:\n",
        caught_by=(f"{TESTS}test_a_turn_ends_when_its_time_is_over",),
    ),
    Mutation(
        trap=25,
        name="a command of many keys is done at once",
        file="replicad/server/client_state.py",
        old="        return self.server.now() > self.turn_ends_at\n",
        new="        return False\n",
        caught_by=(f"{TESTS}test_others_are_served_while_keys_are_deleted",),
        hangs=True,
    ),
    Mutation(
        trap=25,
        name="others write between the pieces of a command",
        file="replicad/server/execution.py",
        old="            waits_for_pieces = self._pieces.under_way and command.may_write\n",
        new="            waits_for_pieces = False\n",
        caught_by=(f"{TESTS}test_nothing_comes_in_between_the_commands_of_a_long_exec",),
        hangs=True,
    ),
    Mutation(
        trap=25,
        name="a command in pieces believes what it saw, whatever came since",
        file="replicad/server/pieces.py",
        old="        is_still = self._state() == self._begun_in\n",
        new="        is_still = True\n",
        caught_by=(
            f"{TESTS}test_a_change_of_role_ends_a_command_in_pieces",
            f"{TESTS}test_a_group_that_fails_before_a_command_in_pieces_fails_it_too",
        ),
    ),
    Mutation(
        trap=25,
        name="a listing for a comparison reads values without bound",
        file="replicad/store/ranges.py",
        old="        if read_bytes >= READ_BYTES_MAX:\n",
        new="        if False:\n",
        caught_by=("tests/store/test_ranges.py::test_a_listing_reads_a_bounded_part_of_large_values",),
    ),
    Mutation(
        trap=25,
        name="replies of UPDATES are built side by side",
        file="replicad/server/commands/log.py",
        old="    async with server.building:\n",
        new="    if True:\n",
        caught_by=(
            "tests/server/test_replicad_commands.py"
            "::test_updates_for_many_readers_are_built_one_after_the_other[fake-sync]",
        ),
        hangs=True,
    ),
    # 28: what others can make grow
    Mutation(
        trap=28,
        name="a copy may have any number of files without bytes",
        file="replicad/replication/copy/staging.py",
        old="        if not entry.size:\n",
        new="        if False:\n",
        caught_by=(
            "tests/replication/copy/test_staging.py::test_lists_that_would_fill_a_directory_or_memory_are_refused",
        ),
    ),
    Mutation(
        trap=28,
        name="a copy's manifest may be of any size",
        file="replicad/replication/copy/staging.py",
        old="entry.size > limit",
        new="entry.size < 0",
        caught_by=(
            "tests/replication/copy/test_staging.py::test_lists_that_would_fill_a_directory_or_memory_are_refused",
        ),
    ),
    Mutation(
        trap=28,
        name="the window of a copy grows by the time of requests that wait behind others",
        file="replicad/replication/copy/copy_window.py",
        old="            return 0\n",
        new="            self.delay_seconds, self._measured_at = None, now\n",
        caught_by=(f"{WINDOW}test_a_window_fills_its_link_and_not_much_more",),
    ),
    Mutation(
        trap=28,
        name="the window of a copy does not grow with its link",
        file="replicad/replication/copy/copy_window.py",
        old="round(2 * bytes_per_second * delay_seconds)",
        new="round(bytes_per_second * delay_seconds)",
        caught_by=(
            f"{WINDOW}test_a_window_doubles_with_each_delay",
            "tests/replication/copy/test_fetch.py::test_a_window_grows_with_what_comes_in_a_delay",
        ),
    ),
    Mutation(
        trap=28,
        name="the window of a copy has no bound",
        file="replicad/replication/copy/copy_window.py",
        old="    return min(max(least, round(2 * bytes_per_second * delay_seconds)), most)\n",
        new="    return max(least, round(2 * bytes_per_second * delay_seconds))\n",
        caught_by=(f"{WINDOW}test_a_window_is_twice_what_the_link_holds",),
    ),
    Mutation(
        trap=28,
        name="connections that join a bootstrap exceed the bound of its windows",
        file="replicad/replication/copy/copy_window.py",
        old="            and windows.under_way_bytes + piece <= windows.bytes_max\n",
        new="",
        caught_by=(f"{WINDOW}test_connections_share_the_bound",),
    ),
)

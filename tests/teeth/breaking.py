"""What a hostile user finds: log directories that two databases name, and no memory for a thread."""

from __future__ import annotations

from tests.teeth.mutation import Mutation

PLACE = "tests/store/directory/test_log_place.py::test_a_copy_never_takes_the_log_of_its_original"
APART = "tests/env/test_apart.py::"

BREAKING = (
    # 19: threads that the process does not have
    Mutation(
        trap=19,
        name="a forked child counts the calls of its parent's threads",
        file="replicad/kernels/__init__.py",
        old="after_fork_in_child(forked)\n",
        new="",
        caught_by=(
            "tests/store/test_process_life.py"
            "::test_a_forked_child_does_not_wait_for_threads_that_it_does_not_have",
        ),
    ),
    # 20: names that two share
    Mutation(
        trap=20,
        name="a copy is opened with the log directory of its original",
        file="replicad/store/open/opening.py",
        old="            check_log_is_ours(fs, path, wal)\n",
        new="",
        caught_by=(f"{PLACE}[open_copy]",),
    ),
    Mutation(
        trap=20,
        name="a copy that is put in place removes the log of another database",
        file="replicad/store/copies/checkpoint.py",
        old="    check_log_is_ours(fs, directory, wal)\n",
        new="",
        caught_by=(f"{PLACE}[put_in_place]",),
    ),
    # 30: threads that end
    Mutation(
        trap=30,
        name="work whose thread never began is waited for",
        file="replicad/env/apart.py",
        old="timeout=-1 if self._claimed else BEGIN_SECONDS",
        new="timeout=-1",
        caught_by=(f"{APART}test_work_that_no_thread_begins_is_an_error",),
        hangs=True,
    ),
)

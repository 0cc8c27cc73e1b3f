"""What Python itself does around us: optimisation, exceptions at any place, fork, the interpreter's end."""

from __future__ import annotations

from tests.teeth.mutation import Mutation

PROOF = "tests/store/compaction/test_proof.py::test_a_merge_that_lost_entries_changes_nothing"

OUTSIDE = (
    # 17: asserts with an effect
    Mutation(
        trap=17,
        name="a merge's inputs are added within an assert",
        file="replicad/store/compaction/merge.py",
        old="        self._merger.add_run()\n",
        new="        assert self._merger.add_run() >= 0\n",
        caught_by=("tests/test_lint_asserts.py::test_the_package_keeps_it",),
    ),
    Mutation(
        trap=17,
        name="a merge that read less than its inputs hold is published",
        file="replicad/store/compaction/merge.py",
        old="        if self._merger.entries_in != self._entries:\n",
        new="        if False:\n",
        caught_by=(f"{PROOF}[read]",),
    ),
    Mutation(
        trap=17,
        name="a merge that wrote less than it kept is published",
        file="replicad/store/compaction/merge.py",
        old="        if written != self._merger.entries_out:\n",
        new="        if False:\n",
        caught_by=(f"{PROOF}[written]",),
    ),
)

"""Copies: what is linked and held, and what tells one file from another."""

from __future__ import annotations

from tests.teeth.log import crash
from tests.teeth.mutation import Mutation

STAGING = "tests/replication/copy/test_staging.py::"

COPIES = (
    # 6: hard-linked copies
    Mutation(
        trap=6,
        name="the live segment is linked into a checkpoint",
        file="replicad/store/copies/cut.py",
        old="        return self.segment.sealed and self.segment.size_bytes == self.length\n",
        new="        return True\n",
        caught_by=("tests/store/copies/test_checkpoint.py::test_checkpoints_under_load_are_exact_prefixes",),
    ),
    Mutation(
        trap=6,
        name="a checkpoint takes all of the live segment",
        file="replicad/store/copies/checkpoint.py",
        old="                copy_file(fs, part.path, destination, part.length)\n",
        new="                copy_file(fs, part.path, destination)\n",
        caught_by=("tests/store/copies/test_checkpoint.py::test_checkpoints_under_load_are_exact_prefixes",),
    ),
    Mutation(
        trap=6,
        name="a cut does not wait until its position is durable",
        file="replicad/store/copies/cut.py",
        old="            syncer.sync_through(self.position.sequence)\n",
        new="            pass\n",
        caught_by=("tests/store/copies/test_checkpoint.py::test_a_cut_waits_until_its_position_is_durable",),
    ),
    Mutation(
        trap=6,
        name="an open cut holds no log",
        file="replicad/store/copies/cut.py",
        old="in tables], log_from)\n",
        new="in tables], Sequence(1 << 60))\n",
        caught_by=("tests/store/holds/test_leases.py::test_held_log_stays",),
    ),
    Mutation(
        trap=6,
        name="an open cut holds no tables",
        file="replicad/store/copies/cut.py",
        old="core.pins.take([meta.number for meta in tables], log_from)\n",
        new="core.pins.take([], log_from)\n",
        caught_by=("tests/store/copies/test_checkpoint.py::test_cut_keeps_its_files",),
    ),
    Mutation(
        trap=6,
        name="a checkpoint is made of links or not at all",
        file="replicad/env/atomic.py",
        old="        if error.errno not in (errno.EXDEV, errno.EPERM, errno.EMLINK, errno.EOPNOTSUPP):\n",
        new="        if True:\n",
        caught_by=("tests/store/copies/test_checkpoint.py::test_where_no_link_is_possible_files_are_copied",),
    ),
    Mutation(
        trap=6,
        name="a file that is copied is not synced",
        file="replicad/env/atomic.py",
        old="        writer.sync()\n",
        new="",
        caught_by=(crash("checkpoint"),),
    ),
    Mutation(
        trap=6,
        name="a torn tail is cut where it lies",
        file="replicad/store/wal/recovery.py",
        old="        rewrite_file(fs, torn.path, torn.offset)\n",
        new="        content = fs.read_file(torn.path)[: torn.offset]\n"
        "        torn.path.write_bytes(content)\n",
        caught_by=("tests/store/test_recovery.py::test_a_torn_tail_is_cut_off_into_a_new_file",),
    ),
    Mutation(
        trap=6,
        name="a rewound log is cut where it lies",
        file="replicad/store/open/rewind.py",
        old="            rewrite_file(fs, kept[-1].path, cut_at)\n",
        new="            content = fs.read_file(kept[-1].path)[:cut_at]\n"
        "            kept[-1].path.write_bytes(content)\n",
        caught_by=("tests/store/open/test_rewind.py::test_a_tail_is_cut_off_into_a_new_file",),
    ),
    Mutation(
        trap=6,
        name="a copy knows epochs that began after it",
        file="replicad/store/copies/cut.py",
        old="            epochs=tuple(record for record in known.epochs if record.epoch <= "
        "self.position.epoch),\n",
        new="            epochs=known.epochs,\n",
        caught_by=("tests/store/test_roles.py::test_a_cut_of_before_a_promotion_knows_nothing_of_it",),
    ),
    Mutation(
        trap=6,
        name="a lease that is over does not close its cut",
        file="replicad/store/holds/leases.py",
        old="        if self.seconds is not None and now - self.taken_at >= self.seconds:\n",
        new="        if False:\n",
        caught_by=("tests/store/holds/test_leases.py::test_an_expired_lease_closes_its_cut",),
    ),
    # 7: file numbers are not identities
    Mutation(
        trap=7,
        name="an installed copy keeps its file numbers",
        file="replicad/store/copies/checkpoint.py",
        old="    for number, meta in enumerate(received.tables, start=first):\n",
        new="    for number, meta in ((meta.number, meta) for meta in received.tables):\n",
        caught_by=(
            "tests/store/copies/test_checkpoint.py::test_install_replaces_data",
            "tests/store/test_replaced_log.py",
        ),
    ),
    Mutation(
        trap=7,
        name="a staged file is whole when it has the right size",
        file="replicad/replication/copy/staging.py",
        old="            return digest.digest() == entry.sha256\n",
        new="            return True\n",
        caught_by=(f"{STAGING}test_what_is_complete_is_kept_and_the_rest_removed",),
    ),
    Mutation(
        trap=7,
        name="the digest of a fetched file is not checked",
        file="replicad/replication/copy/staging.py",
        old="        if got != self._entry.sha256:\n",
        new="        if False:\n",
        caught_by=(f"{STAGING}test_a_file_of_another_content_is_refused",),
    ),
    Mutation(
        trap=7,
        name="tables of one number are one file to a backup",
        file="replicad/backup/names.py",
        old='{SHARED}{meta.number:06d}_{meta.sha256.hex()[:16]}_{meta.size_bytes}"',
        new='{SHARED}{meta.number:06d}_0000000000000000_{meta.number}"',
        caught_by=("tests/backup/test_engine.py::test_two_databases_share_a_target",),
    ),
    Mutation(
        trap=7,
        name="the digest of a file on its way to or from a backup is not checked",
        file="replicad/backup/copying.py",
        old="        if hash.digest() != sha256:\n",
        new="        if False:\n",
        caught_by=(
            "tests/backup/restore/test_restore.py::test_a_damaged_table_at_the_target_ends_the_restore",
        ),
    ),
    Mutation(
        trap=7,
        name="a table's id in its footer is not checked",
        file="replicad/store/table/file.py",
        old="    if reader.table_id != meta.table_id:\n",
        new="    if False:\n",
        caught_by=("tests/store/table/test_identity.py::test_a_table_under_the_name_of_another_is_damage",),
    ),
)

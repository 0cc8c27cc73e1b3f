"""Backups that many share: names, catalogs, removals, targets, and which database is meant."""

from __future__ import annotations

from tests.teeth.mutation import Mutation

NAMES = "tests/backup/test_attachment_names.py::"
PLACES = "tests/backup/restore/test_attachments.py::"

CATALOG = "tests/backup/test_catalog.py::"
NOT_HIDDEN = CATALOG + "test_a_damaged_meta_is_not_hidden_by_the_catalog"

BACKUPS = (
    # 7: what a file is says its digest
    Mutation(
        trap=7,
        name="a catalog is believed by size alone",
        file="replicad/backup/shelf.py",
        old="    known: set[BackupId] = set(entries) if believe else set()\n",
        new="    known: set[BackupId] = set(entries)\n",
        caught_by=(NOT_HIDDEN,),
    ),
    Mutation(
        trap=7,
        name="a meta counts whatever the digest of its entry",
        file="replicad/backup/shelf.py",
        old="                if id in entries and entries[id].meta_sha256 == digest:\n",
        new="                if id in entries:\n",
        caught_by=(NOT_HIDDEN,),
    ),
    Mutation(
        trap=7,
        name="the latest backup is the one that the catalog names last",
        file="replicad/backup/read_only.py",
        old="                read_meta(self.target, info.id)\n                return info\n",
        new="                return info\n",
        caught_by=(NOT_HIDDEN,),
    ),
    Mutation(
        trap=7,
        name="a removal takes a meta that the disk did not give back for damaged",
        file="replicad/backup/read_only.py",
        old="        if isinstance(error.__cause__, OSError):\n",
        new="        if False:\n",
        caught_by=("tests/backup/test_catalog.py::test_a_removal_waits_for_a_disk_that_fails",),
    ),
    # 20: names of applications and names of ours
    Mutation(
        trap=20,
        name="attachments are gathered under their own names",
        file="replicad/backup/restore/staging.py",
        old='        names[file.path] = f"{file.sha256.hex()}-{counts[file.sha256]}"\n',
        new='        names[file.path] = file.path.replace("/", "-")\n',
        caught_by=(PLACES + "test_what_an_interrupted_restore_gathered",),
    ),
    Mutation(
        trap=20,
        name="attachments of one content are one file",
        file="replicad/backup/restore/staging.py",
        old="        counts[file.sha256] += 1\n",
        new="",
        caught_by=(PLACES + "test_contents_that_changed_places",),
    ),
    Mutation(
        trap=20,
        name="a restored attachment is a hard link of another one",
        file="replicad/backup/restore/staging.py",
        old="            (link_or_copy if link else copy_file)(fs, source, part)\n",
        new="            link_or_copy(fs, source, part)\n",
        caught_by=(PLACES + "test_contents_that_changed_places",),
    ),
    Mutation(
        trap=20,
        name="a backup takes names of attachments that meet",
        file="replicad/backup/attachments.py",
        old="    check_names(item.name for item in found)\n",
        new="",
        caught_by=("tests/backup/test_attachments.py::test_names_that_cannot_be",),
    ),
    Mutation(
        trap=20,
        name="names that differ in case are two",
        file="replicad/backup/attachment_names.py",
        old='unicodedata.normalize("NFD", name).casefold())\n',
        new='unicodedata.normalize("NFD", name))\n',
        caught_by=(NAMES + "test_names_that_cannot",),
    ),
    Mutation(
        trap=20,
        name="a verification does not ask whether names can be restored",
        file="replicad/backup/verify.py",
        old="    found = list_problems(meta)\n",
        new="    found: list[str] = []\n",
        caught_by=(PLACES + "test_a_list_that_cannot_be_restored",),
    ),
    Mutation(
        trap=20,
        name="attachments go wherever they are told to",
        file="replicad/backup/restore/attachments.py",
        old="    _check_apart(destination, paths, target)\n",
        new="",
        caught_by=(PLACES + "test_never_among_files_of_ours",),
    ),
    Mutation(
        trap=20,
        name="a restore meets what is in the way of attachments when it is too late",
        file="replicad/backup/restore/attachments.py",
        old="    _check_obstacles(env.fs, place, paths)\n",
        new="",
        caught_by=(PLACES + "test_obstacles_are_found_first",),
    ),
)

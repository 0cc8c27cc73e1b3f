"""Backups that many share: names, catalogs, removals, targets, and which database is meant."""

from __future__ import annotations

from tests.teeth.mutation import Mutation

NAMES = "tests/backup/test_attachment_names.py::"
PLACES = "tests/backup/restore/test_attachments.py::"

BACKUPS = (
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

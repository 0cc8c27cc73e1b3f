"""Backups that many share: names, catalogs, removals, targets, and which database is meant."""

from __future__ import annotations

from tests.teeth.mutation import Mutation

NAMES = "tests/backup/test_attachment_names.py::"
PLACES = "tests/backup/restore/test_attachments.py::"

SIDE_BY_SIDE = "tests/backup/test_side_by_side.py::"
MOMENTS = "tests/backup/test_interleavings.py::"
DATABASES = "tests/backup/test_databases.py::"
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
    # 21: another machine's clock
    Mutation(
        trap=21,
        name="a collection forgets removals of others",
        file="replicad/backup/collect.py",
        old="            if content is not None and not any(doomed in there for doomed in content.names):\n",
        new="            if content is not None:\n",
        caught_by=(MOMENTS + "test_four_hosts_of_which_two_pause",),
    ),
    Mutation(
        trap=21,
        name="a file is written under a name that another one had",
        file="replicad/backup/create.py",
        old="        return min(there) if there else names.shared_name(identity, self._claim.id)\n",
        new="        return min(there) if there else names.shared_name(identity, names.BackupId(1))\n",
        caught_by=(SIDE_BY_SIDE + "test_a_third_host_at_every_moment_of_a_removal",),
    ),
    Mutation(
        trap=21,
        name="a removal that was cut short is done",
        file="replicad/backup/collect.py",
        old="        while batch := list(islice(waiting, _BATCH)):\n            self._target.delete(batch)\n",
        new="        try:\n            while batch := list(islice(waiting, _BATCH)):\n"
        "                self._target.delete(batch)\n"
        "        except TimeoutError:\n            self._target.delete([collection])\n            raise\n",
        caught_by=(MOMENTS + "test_requests_that_arrive_after_they_failed",),
    ),
    Mutation(
        trap=21,
        name="a claim that is gone when it is read needs nothing",
        file="replicad/backup/collect.py",
        old="                    vanished = True\n",
        new="                    pass\n",
        caught_by=(MOMENTS + "test_a_create_that_is_seen_and_done_before_it_is_read",),
    ),
    Mutation(
        trap=21,
        name="a removal does not look again after it was published",
        file="replicad/backup/collect.py",
        old="        while self._look_again(set(seen), since):\n            pass\n",
        new="",
        caught_by=(SIDE_BY_SIDE + "test_a_create_at_every_moment_of_a_removal",),
    ),
    Mutation(
        trap=21,
        name="what is being removed may be relied on",
        file="replicad/backup/create.py",
        old="            if identity is not None and name not in self._condemned:\n",
        new="            if identity is not None:\n",
        caught_by=(SIDE_BY_SIDE + "test_a_create_at_every_moment_of_a_removal",),
    ),
    Mutation(
        trap=21,
        name="a claim is revoked without another look",
        file="replicad/backup/collect.py",
        old="        if names.meta_name(claim[0]) not in self._target.list(names.META):\n",
        new="        if True:\n",
        caught_by=(MOMENTS + "test_a_create_and_a_removal_that_both_pause[collect long after]",),
    ),
    Mutation(
        trap=21,
        name="a maker does not look for doubts after it published",
        file="replicad/backup/claims.py",
        old="list(names.META)\n            self._check_not_given_up(there)\n",
        new="list(names.META)\n",
        caught_by=(MOMENTS + "test_a_create_and_a_removal_that_both_pause[collect long after]",),
    ),
    Mutation(
        trap=21,
        name="what was revoked is a backup when its maker was late",
        file="replicad/backup/shelf.py",
        old="    return not owner or owner in owners\n",
        new="    return False\n",
        caught_by=(MOMENTS + "test_a_maker_that_wakes_after_it_was_given_up_and_dies",),
    ),
    Mutation(
        trap=21,
        name="revocations are forgotten",
        file="replicad/backup/collect.py",
        old="        if self._at_once:\n            keep_highest(self._target, listed)\n            over",
        new="        if True:\n            keep_highest(self._target, listed)\n            over",
        caught_by=(MOMENTS + "test_a_maker_that_wakes_after_it_was_given_up_and_dies",),
    ),
    Mutation(
        trap=21,
        name="a publication that failed is not revoked",
        file="replicad/backup/create.py",
        old="            publishing = True\n",
        new="",
        caught_by=(MOMENTS + "test_requests_that_arrive_after_they_failed",),
    ),
    Mutation(
        trap=21,
        name="ages are by the clock of whoever collects",
        file="replicad/backup/directory_target.py",
        old="            now_ns = self._modified_ns(probe)\n",
        new="            now_ns = self._env.clock.wall_us() * 1000\n",
        caught_by=("tests/backup/test_targets.py::test_ages_are_by_the_clock_of_the_target",),
    ),
    Mutation(
        trap=21,
        name="a directory goes that was empty a moment ago",
        file="replicad/env/local.py",
        old="            path.rmdir()\n",
        new="            shutil.rmtree(path)\n",
        caught_by=("tests/backup/test_targets.py::test_a_directory_goes_only_when_it_is_empty",),
    ),
    # 23: what a target is
    Mutation(
        trap=23,
        name="a local URL goes through fsspec",
        file="replicad/backup/address.py",
        old="        return _local(where, place)\n",
        new="        return where\n",
        caught_by=("tests/backup/test_targets.py::test_a_local_url_is_a_directory",),
    ),
    Mutation(
        trap=23,
        name="a local place behind another scheme is taken",
        file="replicad/backup/fsspec_target.py",
        old="        if _is_local(fs):\n",
        new="        if False:\n",
        caught_by=("tests/backup/test_targets.py::test_a_local_place_behind_another_scheme_is_refused",),
    ),
    Mutation(
        trap=23,
        name="a link into a database's directory is another place",
        file="replicad/backup/directory_target.py",
        old="        root = self._root.resolve()\n",
        new="        root = self._root\n",
        caught_by=("tests/backup/test_targets.py::test_backups_are_never_among_the_files_of_a_database",),
    ),
    Mutation(
        trap=23,
        name="a node backs up to its own memory",
        file="replicad/backup/address.py",
        old='    if isinstance(address, str) and address.startswith(f"{MEMORY_SCHEME}://"):\n',
        new="    if False:\n",
        caught_by=("tests/backup/test_address.py::test_a_node_backs_up_to_what_outlives_it",),
    ),
    # 29: what counts over all
    Mutation(
        trap=29,
        name="a purge counts over all databases",
        file="replicad/backup/databases.py",
        old="            by_database.setdefault(info.database_id, []).append(info.id)\n",
        new="            by_database.setdefault(DatabaseId(bytes(16)), []).append(info.id)\n",
        caught_by=(DATABASES + "test_what_a_purge_keeps_it_keeps_of_each",),
    ),
    Mutation(
        trap=29,
        name="a node purges all databases",
        file="replicad/daemon/backups.py",
        old="engine.purge_old_backups, keep, database_id=database.database_id)\n",
        new="engine.purge_old_backups, 0)\n",
        caught_by=("tests/daemon/test_backups.py::test_a_node_purges_its_own_backups_only",),
    ),
    Mutation(
        trap=29,
        name="the destination does not say which database is restored",
        file="replicad/backup/databases.py",
        old="    if present is not None:\n        for id in",
        new="    if False:\n        for id in",
        caught_by=(DATABASES + "test_which_database_is_meant",),
    ),
    Mutation(
        trap=29,
        name="any database is restored over any other",
        file="replicad/backup/databases.py",
        old="    if present is not None and other not in (present.id, present.parent):\n",
        new="    if False:\n",
        caught_by=(DATABASES + "test_a_restore_is_of_the_database_that_is_there",),
    ),
)

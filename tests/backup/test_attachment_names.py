"""Names of attachments: what cannot be restored together is refused when the backup is made."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replicad import InvalidArgument
from replicad.backup.attachment_names import check_names, name_problems

TOGETHER = [
    ["a", "a.part", "b/a", "a-b"],
    [".restore/x", "restore/x", ".part", "CURRENT", "LOCK"],
    ["x/.replicad-restore", "replicad-restore/x"],
    ["n" * 255, "/".join(["d" * 255] * 8)],
    ["new\nline", "space ", " space", "tab\t"],
    ["caf\u00e9", "cafe"],
    ["a/b", "a/c", "a.b"],
]
APART = [
    (["x", "x"], "two attachments are named 'x'"),
    (["a", "a/b"], "'a/b' needs a directory where attachment 'a' is a file"),
    (["A/b/c", "a"], "'A/b/c' needs a directory where attachment 'a' is a file"),
    (["caf\u00e9", "cafe\u0301"], "differ only in case or in how Unicode is written"),
    (["Read.me", "READ.ME"], "'Read.me' and 'READ.ME' differ only in case"),
    (["stra\u00dfe", "STRASSE"], "differ only in case"),
    (["n" * 256], "has 256 bytes; a file's name has at most 255"),
    (["\u00e9" * 128], "has 256 bytes"),
    (["/".join(["d" * 200] * 11)], "its name has 2210 bytes"),
    (["bad\udcff"], "its name is not UTF-8"),
    ([".replicad-restore/x"], "are those of the restore itself"),
    ([".Replicad-RESTORE"], "are those of the restore itself"),
    (["../x"], "not a relative path"),
    (["/x"], "not a relative path"),
    ([""], "not a relative path"),
    (["a//b"], "not a relative path"),
    (["nul\0"], "not a relative path"),
]


@pytest.mark.parametrize("names", TOGETHER)
def test_names_that_can_be_restored_together(names: list[str]) -> None:
    """Whatever looks like a name of ours is the application's."""
    assert name_problems(names) == []


@pytest.mark.parametrize(("names", "words"), APART)
@pytest.mark.parametrize("turned", [False, True])
def test_names_that_a_file_system_refuses_are_named(names: list[str], words: str, turned: bool) -> None:
    """The first that some file system refuses, or takes for another one, is named."""
    with pytest.raises(InvalidArgument) as caught:
        check_names(["other", *names] if not turned else [*names, "other"])
    assert words in str(caught.value)


@given(
    st.lists(
        st.lists(st.sampled_from(["a", "A", "b", "a.part", "\u00e9", "e\u0301"]), min_size=1, max_size=3)
    )
)
def test_what_is_accepted_needs_no_name_twice(paths: list[list[str]]) -> None:
    """Written to a file system that folds case and Unicode, every accepted name is a file of its own."""
    names = ["/".join(parts) for parts in paths]
    if name_problems(names):
        return
    folded = [unicodedata.normalize("NFC", name).lower() for name in names]
    assert len(set(folded)) == len(names)
    assert not {f"{name}/" for name in folded} & {name[: i + 1] for name in folded for i in range(len(name))}

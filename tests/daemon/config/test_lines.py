"""On which line a key of a TOML file stands."""

from __future__ import annotations

from replicad.daemon.config.keys import KeyPath
from replicad.daemon.config.lines import line_of, lines_of

TEXT = '''\
data = "/d"  # [store]
"name"="a = b"
text = """
[link]
listen = 1
"""
[store] # a = 1
 memtable_bytes =1
families.a.block_bytes = 2
families . "b c" = { block_bytes = 3,
  compression = "lz4" }

[ store . families.'d.e' ]
block_bytes = [
  4,
]
[store]
'''

CASES: list[tuple[KeyPath, int | None]] = [
    (("data",), 1),
    (("name",), 2),
    (("text",), 3),
    (("listen",), None),
    (("store",), 7),
    (("store", "memtable_bytes"), 8),
    (("store", "segment_bytes"), 7),
    (("store", "families", "a", "block_bytes"), 9),
    (("store", "families", "b c", "block_bytes"), 10),
    (("store", "families", "d.e"), 13),
    (("store", "families", "d.e", "block_bytes"), 14),
]


def test_the_line_is_that_of_the_key_or_of_what_holds_it() -> None:
    """Strings over several lines, comments and quoted names are not taken for keys."""
    lines = lines_of(TEXT)
    assert [(path, line_of(lines, path)) for path, _ in CASES] == CASES


def test_a_text_of_any_kind_has_lines() -> None:
    """What it does not understand it leaves out."""
    assert lines_of("") == {}
    assert lines_of('= 1\n[[\n"""\n[a]\nx = \n') == {("a",): 4, ("a", "x"): 5}

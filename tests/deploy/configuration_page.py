"""docs/configuration.md, made from the options: `python -m tests.deploy.configuration_page` writes it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import MISSING
from pathlib import Path

from replicad.daemon.config import PrimaryConfig, ReplicaConfig
from replicad.daemon.config.help import help_of, help_of_table
from replicad.daemon.config.keys import Key, KeyPath, find, keys_of
from replicad.daemon.config.run_time import changes_at_run_time, unit_of_change
from replicad.daemon.config.sections import sections_of
from replicad.daemon.config.values import takes, write_value
from replicad.net.addresses import Address
from replicad.options import GIB, KIB, MIB

PAGE = Path(__file__).resolve().parents[2] / "docs" / "configuration.md"

INTRODUCTION = """\
# Configuration

`replicad primary` and `replicad replica` put their configuration together from layers. A later one wins, key
by key:

1. the file of `--config FILE`, in TOML;
2. the files `conf.d/*.toml` beside it, in the order of their names;
3. the environment: `REPLICAD_LISTEN`, `REPLICAD_STORE__MEMTABLE_BYTES` (`__` parts a table from its key). A
   value is written as in TOML, but a string needs no quotes. Names in it, such as those of column families,
   are in lower case;
4. flags.

What CONFIG REWRITE kept stands between 2 and 3: see below.

An unknown key or a wrong value ends the start with exit code 78. The message says where it stands, and what
would be right. `replicad config check FILE` shows all that is wrong, `replicad config show FILE --origin`
where each value was set, and `replicad config example` prints a file with every key. `deploy/config/` has two
short examples.

A running node reads its configuration again on SIGHUP, which `systemctl reload` sends, and on `replicad
reload NODE`. Where *at run time* says yes, it takes the new value over at once. It names each other key that
changed, in its log and in the answer: that one counts from the next start on. A configuration that is wrong
changes nothing. The environment and the flags are those of the start. Certificates and files of passwords
are read again as well. TLS as such begins and ends with a restart.

`CONFIG SET clients.clients_max 500` changes a key of the running node, where *at run time* says yes and the
key names no file or target. `CONFIG GET 'clients.*'` shows what is in effect. The change lasts until the node
reads its configuration again: at a reload or a restart. `CONFIG REWRITE` makes it last: it writes what was
set to `state/settings.toml` in the data directory, where the node may write. That file counts over FILE and
`conf.d`, but the environment and flags count over it. Only keys that CONFIG SET takes may stand there. Remove
a line of it, or the file, and reload.

Sizes are bytes and times are seconds, as the last word of a key says. A key without a default is not set,
unless its line says that it is required.

```toml
data = "/var/lib/replicad/primary"
listen = "127.0.0.1:6380"

[store]
memtable_bytes = 134_217_728

[store.families.sessions]
compression = "none"
```

<!-- Below: made by `python -m tests.deploy.configuration_page`. -->
"""


def page() -> str:
    """Markdown: one table a section. A replica has every key that there is."""
    lines = [INTRODUCTION.rstrip()]
    for table, keys in sections_of(ReplicaConfig):
        lines += [
            "",
            f"## {_title(table)}",
            "",
            _about(table),
            "",
            "| key | default | takes | |",
            "|---|---|---|---|",
        ]
        lines += list(_rows(keys))
    return "\n".join(lines) + "\n"


def _title(table: KeyPath) -> str:
    return f"[{'.'.join(table)}]" if table else "Before the first section"


def _about(table: KeyPath) -> str:
    if not table:
        return "The node and its addresses. Those of other machines need TLS, and users: docs/security.md."
    return help_of_table(ReplicaConfig, table)


def _rows(keys: list[Key]) -> Iterator[str]:
    for key in keys:
        at_run_time = "yes" if changes_at_run_time(*unit_of_change(key.path)) else ""
        cells = f"`{key.path[-1]}`", _default(key), _escaped(takes(key)), at_run_time, _escaped(help_of(key))
        yield f"| {' | '.join(cells)} |"


def _default(key: Key) -> str:
    of_primary = find(keys_of(PrimaryConfig), key.path)
    if of_primary is not None and of_primary.default not in (key.default, MISSING):
        return f"`{of_primary.default}`; of a replica `{key.default}`"
    match key.default:
        case None | {}:
            return ""
        case Address():
            return f"`{key.default}`"
        case int() if key.path[-1].endswith(("bytes", "bytes_max", "bytes_min", "bytes_per_second")):
            return _size(key.default)
    return "" if key.default is MISSING else f"`{write_value(key.default)}`"


def _size(size: int) -> str:
    """
    >>> _size(64 * 1024), _size(0)
    ('64 KiB', '0')
    """
    for unit, name in ((GIB, "GiB"), (MIB, "MiB"), (KIB, "KiB")):
        if size and size % unit == 0:
            return f"{size // unit} {name}"
    return str(size)


def _escaped(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    PAGE.write_text(page())

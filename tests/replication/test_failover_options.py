"""What the section `[failover]` refuses, at the start and not at the first failover."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from replicad.errors import InvalidArgument
from replicad.replication.failover_options import FailoverOptions

ETCD = ("http://127.0.0.1:2379",)


@pytest.mark.parametrize(
    ("keys", "why"),
    [
        ({"etcd": ("127.0.0.1:2379",)}, "is not"),
        ({"etcd": ("http://a:1", "https://b:1")}, "either all"),
        ({"etcd": ETCD, "user": "replicad"}, "belong together"),
        ({"etcd": ETCD, "cert_file": Path("c"), "ca_file": Path("a")}, "belong together"),
        ({"etcd": ETCD, "ca_file": Path("a")}, "https"),
        ({"ttl_seconds": 1}, "from 2 to"),
        ({"ttl_seconds": 301}, "from 2 to"),
        ({"ttl_seconds": 2}, "margin_seconds and twice keepalive_seconds"),
        ({"keepalive_seconds": 0.0}, "keepalive_seconds"),
        ({"service_name": "a b"}, "is not a name"),
        ({"priority": -1}, "priority"),
    ],
)
def test_what_cannot_work_is_refused(keys: dict[str, Any], why: str) -> None:
    """Each with the key that is to be changed."""
    with pytest.raises(InvalidArgument, match=why):
        FailoverOptions(**keys)


def test_without_etcd_there_is_no_failover() -> None:
    """The section may be there all the same."""
    assert not FailoverOptions(candidate=False).is_on
    assert FailoverOptions(etcd=ETCD).is_on

"""Settings of all tests."""

import signal

import pytest
from hypothesis import settings

# Jobs of a shell's background ignore the one, those of nohup the other, and so would the programs that tests
# send them to.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)

# How long an example takes says nothing on a busy machine, and less under a sanitizer.
settings.register_profile("replicad", deadline=None)
settings.load_profile("replicad")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Those that take minutes come first: at the end one process would be busy with one of them alone."""
    items.sort(key=lambda item: item.get_closest_marker("long") is None)

"""Settings of all tests."""

from hypothesis import settings

# How long an example takes says nothing on a busy machine, and less under a sanitizer.
settings.register_profile("replicad", deadline=None)
settings.load_profile("replicad")

"""Settings of all tests."""

import signal

from hypothesis import settings

# Jobs of a shell's background ignore it, and so would the programs that tests interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)

# How long an example takes says nothing on a busy machine, and less under a sanitizer.
settings.register_profile("replicad", deadline=None)
settings.load_profile("replicad")

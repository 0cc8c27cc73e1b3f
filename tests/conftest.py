"""Settings of all tests."""

import signal

from hypothesis import settings

# Jobs of a shell's background ignore the one, those of nohup the other, and so would the programs that tests
# send them to.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)

# How long an example takes says nothing on a busy machine, and less under a sanitizer.
settings.register_profile("replicad", deadline=None)
settings.load_profile("replicad")

"""What an operator relies on: a log that holds nobody, promotions that lose nothing, fences with a proof,
a lag that is true, a directory that is still the node's own."""

from __future__ import annotations

from tests.teeth.mutation import Mutation

LOG_STREAM = "tests/daemon/test_log_stream.py::"

OPERATING = (
    # 27: log output
    Mutation(
        trap=27,
        name="events are written by who has them to say",
        file="replicad/daemon/logs.py",
        old="        logger_factory=structlog.WriteLoggerFactory(cast(TextIO, _stream)),\n",
        new="        logger_factory=structlog.WriteLoggerFactory(sys.__stderr__),\n",
        caught_by=(f"{LOG_STREAM}test_whatever_a_process_says_on_standard_error_goes_through_it",),
        hangs=True,
    ),
    Mutation(
        trap=27,
        name="libraries write on standard error themselves",
        file="replicad/daemon/logs.py",
        old="    sys.stderr = _stream\n",
        new="",
        caught_by=(f"{LOG_STREAM}test_whatever_a_process_says_on_standard_error_goes_through_it",),
        hangs=True,
    ),
    Mutation(
        trap=27,
        name="lines that nobody reads are kept without bound",
        file="replicad/daemon/log_stream.py",
        old="        if len(self._lines) >= LINES_MAX:\n",
        new="        if False:\n",
        caught_by=(f"{LOG_STREAM}test_a_reader_that_stands_still_holds_nobody",),
    ),
    Mutation(
        trap=27,
        name="a full disk ends the log for good",
        file="replicad/daemon/log_stream.py",
        old="            except OSError:\n                return False\n",
        new="            except OSError:\n                raise\n",
        caught_by=(f"{LOG_STREAM}test_lines_that_cannot_be_written_are_counted_and_said_later",),
    ),
    Mutation(
        trap=27,
        name="lines are lost without a word",
        file="replicad/daemon/log_stream.py",
        old="            if lost:\n",
        new="            if False:\n",
        caught_by=(f"{LOG_STREAM}test_lines_that_cannot_be_written_are_counted_and_said_later",),
    ),
)

#: not simulated: tests/integration/test_processes.py lets a sync fail
#: given
pair
#: before replicad verify
until_ feeds 6380

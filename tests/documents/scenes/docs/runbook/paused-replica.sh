#: given
pair
redis-cli -p 6390 REPLICAD.REPLICA PAUSE
redis-cli -p 6380 SET key:1 later
until_ says docs/runbook/paused-replica.md :6390
#: after replicad replica-resume :6390
until_ holds 6390 key:1 later

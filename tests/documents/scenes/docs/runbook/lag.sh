#: given
pair
systemctl kill replicad-replica
cat >> /etc/replicad/conf.d/stale.toml <<END
[link]
max_staleness_seconds = 2.0
END
systemctl start replicad-replica
until_ answers 6390
kill -STOP "$(cat $ROOT/primary.pid)"
until_ sh -c 'redis-cli -p 6390 GET key:1 | grep STALE'
until_ says docs/runbook/lag.md :6390
#: before replicad top
kill -CONT "$(cat $ROOT/primary.pid)"

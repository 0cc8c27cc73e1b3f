#: given
configured
for role in primary replica; do mv /etc/replicad/$role.toml /etc/replicad/$role.toml.example; done
#: before replicad status --check
until_ follows 6390
fill 500
#: after replicad switchover
said "is the primary"
#: before replicad promote
systemctl kill replicad-replica
#: before replicad switchover
until_ holds 6390 key:500 "$VALUE"
#: before install -d -o replicad -g replicad -m 700 /var/backups
until_ follows 6390
#: before mv /var/lib/replicad/replica
until_ answers 6380
#: before du -sh
until_ follows 6390
until_ holds 6390 key:500 "$VALUE"

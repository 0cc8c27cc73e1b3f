#: given
pair
redis-cli -p 6380 REPLICAD.THROTTLE 500
systemctl stop replicad-replica
rm -r /var/lib/replicad/replica
systemctl start replicad-replica &

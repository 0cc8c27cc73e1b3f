#: given
configured
sed -i '1i from_backup = "/var/backups/replicad"' /etc/replicad/replica.toml
replicad init /var/lib/replicad/primary > /dev/null
systemctl start replicad-primary
fill 500
# It is not ready before it has data.
systemctl start replicad-replica &
until_ says "has no backup" :6390
#: before systemctl restart replicad-replica
wait $!
#: end
holds 6390 key:500 "$VALUE"
node 6390 'd["last_bootstrap"] is None'

#: given
configured
sed -i "1i from_backup = \"$ROOT/var/backups/replicad\"" "$ROOT/etc/replicad/replica.toml"
replicad init "$ROOT/var/lib/replicad/primary" > /dev/null
systemctl start replicad-primary &
systemctl start replicad-replica
wait $!
fill 500
until_ says "has no backup" :6390
#: end
holds 6390 key:500 "$VALUE"
node 6390 'd["last_restore"]["backup"] == 1'

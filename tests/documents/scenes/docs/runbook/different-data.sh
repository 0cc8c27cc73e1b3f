#: given
configured
cat >> /etc/replicad/conf.d/verify.toml <<END
[verification]
interval_seconds = 1.0
repair = "ordered"
END
sed -i '/^interval_seconds/d; /^repair/d' /etc/replicad/replica.toml
pair_from_here
systemctl stop replicad-replica
differ /var/lib/replicad/replica key:123
systemctl start replicad-replica
#: after replicad verify :6380 :6390 || true
said key:123
#: end
until_ replicad verify :6380 :6390

#: given
pair
systemctl kill replicad-replica
cat >> /etc/replicad/primary.toml <<END
[link]
slot_log_bytes_max = 20000
END
sed -i 's/log_retention_bytes = .*/log_retention_bytes = 0/' /etc/replicad/primary.toml
systemctl restart replicad-primary
fill 500
fill 500

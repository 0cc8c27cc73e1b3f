#: given
pair
systemctl stop replicad-primary replicad-replica
cat >> /etc/replicad/primary.toml <<END
[roles]
when_alone = "wait"
END
systemctl start replicad-primary

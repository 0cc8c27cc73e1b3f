#: given
configured
(umask 077; replicad users token operator 2> lines > /etc/replicad/operator.password)
cat >> /etc/replicad/primary.toml <<END
[users.operator]
roles = ["admin"]
token_sha256 = "$(replicad users digest < /etc/replicad/operator.password)"
END
replicad init /var/lib/replicad/primary > /dev/null
systemctl start replicad-primary

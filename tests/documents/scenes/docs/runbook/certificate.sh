#: given
configured
replicad certs init ca > /dev/null
replicad certs node ca paris --host 127.0.0.1 --days 2 > /dev/null
install -m 600 ca/paris.key /etc/replicad/paris.key
install -m 644 ca/paris.crt /etc/replicad/paris.crt
install -m 644 ca/ca.crt /etc/replicad/ca.crt
cat >> /etc/replicad/primary.toml <<END
[tls]
ca_file = "/etc/replicad/ca.crt"
cert_file = "/etc/replicad/paris.crt"
key_file = "/etc/replicad/paris.key"
certificates = "optional"
allow = ["paris"]
END
replicad init /var/lib/replicad/primary > /dev/null
systemctl start replicad-primary

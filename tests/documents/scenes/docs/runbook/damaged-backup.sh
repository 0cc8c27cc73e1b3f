#: given
pair
cat >> /etc/replicad/primary.toml <<END
[backup]
target = "/var/backups/replicad"
keep = 1
END
systemctl restart replicad-primary
replicad backup create --node :6380 /var/backups/replicad
rot /var/backups/replicad/meta/1.json
until_ feeds 6380
redis-cli -p 6380 SET more 1
replicad backup create --node :6380
#: after replicad backup verify /var/backups/replicad --all --checksums || true
said "backup 1: DAMAGED; backup 2: whole"

#: given
configured
cat >> /etc/replicad/primary.toml <<END
[backup]
target = "/var/backups/replicad"
archive_log = true
END
rmdir /var/backups/replicad
touch /var/backups/replicad
pair_from_here
until_ says "has not archived its log" :6380
#: before replicad backup list
rm /var/backups/replicad

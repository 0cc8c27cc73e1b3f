#: given
pair
replicad backup create --node :6380 /var/backups/replicad
systemctl stop replicad-primary
rm -r /var/lib/replicad/primary
replicad backup restore /var/backups/replicad /var/lib/replicad/primary
systemctl start replicad-primary
#: before rm -r /var/lib/replicad/replica.before
until_ holds 6390 key:500 "$VALUE"
#: end
replicad slot list :6380

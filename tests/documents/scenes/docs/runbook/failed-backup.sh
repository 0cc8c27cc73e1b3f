#: given
pair
rm -rf /var/backups/replicad
touch /var/backups/replicad
! replicad backup create --node :6380 /var/backups/replicad
#: before replicad backup create
rm /var/backups/replicad

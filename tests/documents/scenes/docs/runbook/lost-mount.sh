#: given
pair
mkdir -p /var/backups/replicad
replicad backup create --node :6380 /var/backups/replicad
mv /var/backups/replicad /srv/the-disk
mkdir /var/backups/replicad
! replicad backup create --node :6380 /var/backups/replicad
#: before replicad backup create
rmdir /var/backups/replicad
mv /srv/the-disk /var/backups/replicad

#: given
pair
mkdir -p /var/backups/replicad
#: before moment=
cat >> /etc/replicad/primary.toml <<END
[backup]
target = "/var/backups/replicad"
archive_log = true
END
systemctl restart replicad-primary
until_ sh -c 'replicad backup list /var/backups/replicad | grep -q "log"'
#: before replicad backup restore /var/backups/replicad /srv/before-it
until_ archived
#: before systemctl stop replicad-replica
until_ archived
#: before replicad verify :6380 :6390
until_ follows 6390
#: end
node 6390 'd["last_restore"]["gap"] is None and d["last_bootstrap"] is None'
test "$(python -c 'import replicad; print(replicad.open("/srv/before-it", read_only=True).get(b"key:400")[:5])')" = "b'value'"
test "$(python -c 'import replicad; print(replicad.open("/srv/at-500", read_only=True).get(b"key:400")[:5])')" = "b'value'"
test -e /srv/restored/CURRENT
test -e /srv/orders-restored/CURRENT

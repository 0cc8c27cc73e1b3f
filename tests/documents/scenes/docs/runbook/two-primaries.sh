#: given
pair
systemctl kill replicad-primary
until_ replicad promote :6390 --force
systemctl stop replicad-replica
# Neither finds the other any more, as when the network between the two is down.
sed -i 's/6381/6481/' /etc/replicad/primary.toml
sed -i 's/6391/6491/' /etc/replicad/replica.toml
systemctl start replicad-primary
until_ written only-here
systemctl start replicad-replica
#: before systemctl start replicad-primary
sed -i 's/6481/6381/' /etc/replicad/primary.toml
sed -i 's/6491/6391/' /etc/replicad/replica.toml
systemctl restart replicad-replica
#: end
until_ follows 6380
test -d /var/lib/replicad/primary/discarded

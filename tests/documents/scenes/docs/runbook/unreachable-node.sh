#: given
pair
systemctl kill replicad-replica

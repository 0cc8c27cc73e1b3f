#: given
pair
systemctl kill replicad-primary

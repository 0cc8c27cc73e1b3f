#: given
pair
systemctl stop replicad-primary
rot "$(largest_table /var/lib/replicad/primary)"
systemctl start replicad-primary
until_ feeds 6380
read_all 6380
#: before redis-cli -p 6380 REPLICAD.REPAIR
until_ follows 6380
#: end
read_all 6380
not_damaged 6380

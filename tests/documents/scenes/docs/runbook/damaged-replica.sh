#: given
pair
systemctl stop replicad-replica
rot "$(largest_table /var/lib/replicad/replica)"
systemctl start replicad-replica
until_ feeds 6380
read_all 6390
#: before rm -r
until_ test -d /var/lib/replicad/replica/quarantine
until_ says_not "its data is doubted" :6380 :6390
until_ says_not "repair is under way" :6380 :6390

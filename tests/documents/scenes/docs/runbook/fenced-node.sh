#: not simulated: a fenced node that reaches the new primary follows it at once
#: given
pair
systemctl kill replicad-primary
until_ replicad promote :6390 --force
systemctl start replicad-primary
#: end
until_ follows 6380

#: not simulated: two nodes that reach each other end this state within a heartbeat
#: given
old_primary_wrote_alone
#: before systemctl start replicad-primary
systemctl start replicad-replica
#: end
until_ follows 6380

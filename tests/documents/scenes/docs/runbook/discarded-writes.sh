#: given
old_primary_wrote_alone
systemctl start replicad-replica
until_ follows 6380
#: after for file in
said only-here

#: given
elected_pair
replicad failover pause :6380
#: after replicad failover status
said "paused: nobody is promoted automatically"
#: after replicad failover resume
said "failover goes on"

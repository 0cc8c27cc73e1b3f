#: given
elected_pair
systemctl kill etcd
#: end
until_ node 6380 'd["failover"]["leads"] and d["failover"]["unreachable"] is None'

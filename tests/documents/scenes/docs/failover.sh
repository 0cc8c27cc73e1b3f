#: given
needs_etcd
command -v etcdctl > /dev/null || command_not_found_handle etcdctl
address() { redis-cli -h 127.0.0.3 -p 6380 SENTINEL get-master-addr-by-name orders | head -1; }
shows() { replicad failover status "$2" | grep -qF -- "$1"; }
at() { redis-cli -h "$1" -p 6380 REPLICAD.STATUS | so "$2"; }
#: before replicad status 127.0.0.1:6380 127.0.0.2:6380 127.0.0.3:6380
until_ shows "2 count, and 2 of them" 127.0.0.1:6380
until_ replicad status --check 127.0.0.1:6380 127.0.0.2:6380 127.0.0.3:6380
until_ at 127.0.0.2 'd["failover"]["holds_still"] is None'
until_ at 127.0.0.3 'd["failover"]["holds_still"] is None'
until_ shows "yes, next" 127.0.0.3:6380
#: after replicad status 127.0.0.1:6380 127.0.0.2:6380 127.0.0.3:6380
said "leader    node1 at 127.0.0.1:6380, in epoch 1"
said "3 nodes well"
#: after redis-cli -h 127.0.0.1 -p 6380 SET order:7
said OK
#: before leader=$(
until_ sh -c 'redis-cli -h 127.0.0.3 -p 6380 SENTINEL get-master-addr-by-name orders | grep -q "127.0.0.[23]"'
until_ shows "1 count, and 1 of them" 127.0.0.3:6380
#: after leader=$(
said paid
said "no: it is absent"
#: before replicad switchover
until_ at 127.0.0.1 'd["standing"] == "following" and d["failover"]["holds_still"] is None'
until_ shows "2 count, and 2 of them" 127.0.0.1:6380
#: after replicad switchover
said "127.0.0.1:6380 is the primary"
#: before replicad failover pause
until_ shows "2 count, and 2 of them" 127.0.0.1:6380
#: before replicad failover remove
until_ shows "no: it is absent" 127.0.0.1:6380
#: after replicad failover remove
said "failover is paused: if this node were gone"
said "is a member no more"
said "failover goes on"
#: end
until_ sh -c '! replicad failover status 127.0.0.1:6380 | grep -q absent'
# The role that the page gives is enough for a primary and a replica.
kill "$(cat node1.pid)" "$(cat node2.pid)"
(umask 077; echo change-me-too > password)
for n in 1 2; do
    sed -i '/^etcd = /a user = "replicad"\npassword_file = "password"' node$n.toml
    until_ sh -c "! redis-cli -h 127.0.0.$n -p 6380 PING"
    role=$(test $n = 1 && echo primary || echo replica)
    replicad "$role" --config node$n.toml 2>> node$n.log &
done
until_ replicad status --check 127.0.0.1:6380 127.0.0.2:6380
until_ shows "1 count, and 1 of them" 127.0.0.1:6380

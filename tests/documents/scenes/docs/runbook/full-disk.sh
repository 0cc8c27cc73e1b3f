#: given
mkdir -p /var/lib/replicad/primary /etc/replicad/conf.d
mount -t tmpfs -o size=24m tmpfs /var/lib/replicad/primary 2> /dev/null || {
    echo "needs to mount a small file system"
    exit 77
}
cat >> /etc/replicad/conf.d/small.toml <<END
[store]
disk_reserve_bytes = 2_000_000
log_disk_floor_bytes = 0
END
pair
fallocate -l $(($(stat -f -c '%a * %S' /var/lib/replicad/primary) - 1000000)) /var/lib/replicad/primary/somebody-else
fill 500
#: after df -h
said somebody-else
#: before replicad status --check
rm /var/lib/replicad/primary/somebody-else
#: end
redis-cli -p 6380 SET again 1 | grep OK

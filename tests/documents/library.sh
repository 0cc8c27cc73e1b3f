# What the scenes of pages are made of. It is read by the script of each page before its first block.

set -eu

# A program that is not installed: the page is not executed on this machine.
command_not_found_handle() { echo "*** $1 is not installed ***"; exit 77; }

# Waits for what a person would wait for.
until_() {
    local end=$((SECONDS + 60))
    while [ $SECONDS -lt $end ]; do
        if "$@" > /dev/null 2>&1; then return; fi
        sleep 0.1
    done
    echo "*** never true: $*"
    "$@"
}

# The output of the block before has, or has not, this text.
said() { grep -qF -- "$1" "$SAID" || { echo "*** it did not say: $1"; exit 1; }; }
not_said() { if grep -qF -- "$1" "$SAID"; then echo "*** it said: $1"; exit 1; fi; }

# What the node at a port says of itself is so, by an expression of Python over the status document d.
node() { redis-cli -p "$1" REPLICAD.STATUS | so "$2"; }
so() { "$PYTHON" -ISc 'import json, sys; d = json.load(sys.stdin); sys.exit(not eval(sys.argv[1]))' "$1"; }
answers() { test "$(redis-cli -p "$1" PING)" = PONG; }
# `status` of these nodes says this text, or does not say it.
says() { local text=$1; shift; { replicad status "$@" 2>&1 || true; } | grep -qF -- "$text"; }
says_not() { ! says "$@"; }
same_data() { test "$(redis-cli -p "$1" GET "$3")" = "$(redis-cli -p "$2" GET "$3")"; }
holds() { test "$(redis-cli -p "$1" GET "$2")" = "$3"; }

# A machine with replicad installed, as docs/operating.md sets it up.
configured() {
    mkdir -p "$ROOT/etc/replicad" "$ROOT/var/lib/replicad" "$ROOT/var/backups/replicad"
    for role in primary replica; do
        sed "s/6380/$P6380/; s/6381/$P6381/; s/6390/$P6390/; s/6391/$P6391/" \
            "$REPOSITORY/deploy/config/$role.toml" > "$ROOT/etc/replicad/$role.toml"
    done
    # Small and quick, so that nobody waits.
    mkdir -p "$ROOT/etc/replicad/conf.d"
    cat > "$ROOT/etc/replicad/conf.d/quick.toml" <<END
[store]
memtable_bytes = 65536
segment_bytes = 16384
[link]
heartbeat_seconds = 0.1
backoff_seconds_min = 0.02
backoff_seconds_max = 0.2
stopped_retry_seconds = 0.2
free_bytes_min = 0
END
}

# A primary and a replica that follows it, with keys in tables of both.
pair() {
    configured
    pair_from_here
}

# The same, as the machine is configured already.
pair_from_here() {
    replicad init "$ROOT/var/lib/replicad/primary" > /dev/null
    systemctl start replicad-primary &
    systemctl start replicad-replica
    wait $!
    fill 500
    until_ holds "$P6390" key:500 "$VALUE"
}

VALUE=$(printf 'value%.0s' $(seq 40))
fill() { for key in $(seq "$1"); do echo "SET key:$key $VALUE"; done | redis-cli -p "$P6380" > /dev/null; }

# Changes one byte in the middle of the file: a disk that rots.
rot() { "$PYTHON" - "$1" <<'END'
import pathlib, sys
path = pathlib.Path(sys.argv[1])
data = bytearray(path.read_bytes())
data[len(data) // 4] ^= 1
path.write_bytes(data)
END
}

# A primary feeds a replica.
feeds() { node "$1" '"streaming" in [row["state"] for row in d["replicas"]]'; }
# A node feeds a replica, or is fed; over TLS, `replicad` asks.
streams_over_tls() { replicad status "$1" --json | so '"streaming" in str(d)'; }


# A node is a replica that streams.
follows() { node "$1" 'd["standing"] == "following" and d["link"]["state"] == "streaming"'; }

# The replica was promoted while the primary was down, and then the old primary took a write while it was alone.
old_primary_wrote_alone() {
    pair
    systemctl kill replicad-primary
    until_ replicad promote ":$P6390" --force
    systemctl stop replicad-replica
    systemctl start replicad-primary
    until_ written only-here
}
written() { test "$(redis-cli -p "$P6380" SET "$1" 1)" = OK; }

largest_table() { ls -S "$1"/*.sst | head -1; }
read_all() { for key in $(seq 500); do echo "GET key:$key"; done | redis-cli -p "$1" > /dev/null; }

not_damaged() { test "$(redis-cli -p "$1" GET key:123)" = "$VALUE"; }

# Another value under right checksums, in the data of a replica that is down.
differ() { (cd "$REPOSITORY" && "$PYTHON" - "$1" "$2") <<'END'
import sys
from pathlib import Path
from replicad.options import Options
from tests.support.stores.tampering import tamper
tamper(Path(sys.argv[1]), Options(memtable_bytes=65536, segment_bytes=16384), {0: {sys.argv[2].encode(): b"another"}})
END
}

# All that the primary has is archived.
archived() { node "$P6380" 'd["log_archive"].get("position") == d["position"]'; }

# Two primaries with databases of their own, at the ports of a primary and a replica.
two_primaries() {
    for site in 6380:6381 6390:6391; do
        clients=P${site%:*} replication=P${site#*:}
        replicad primary --data "$ROOT/site-${site%:*}" --listen "127.0.0.1:${!clients}" \
            --replication "127.0.0.1:${!replication}" 2>> "$ROOT/site-${site%:*}.log" &
    done
    until_ answers "$P6380"
    until_ answers "$P6390"
}
# The link of that name streams into the node at a port.
link_streams() {
    redis-cli -p "$1" REPLICAD.LINK LIST |
        so "any(row['name'] == '$2' and row['direction'] == 'in' and row['state'] == 'streaming' for row in d)"
}

# etcd is a program that not every machine has.
needs_etcd() { command -v etcd > /dev/null || command_not_found_handle etcd; }
# A primary and a replica whose leader an etcd decides, each of which counts for the other.
elected_pair() {
    needs_etcd
    systemctl start etcd
    configured
    cat > "$ROOT/etc/replicad/conf.d/failover.toml" <<END
[link]
synchronous = "any 1"
[failover]
etcd = ["http://127.0.0.1:$P2379"]
ttl_seconds = 2
keepalive_seconds = 0.4
margin_seconds = 0.5
END
    pair_from_here
    until_ replicad status --check ":$P6380" ":$P6390"
    until_ node "$P6390" 'd["failover"]["holds_still"] is None'
}

#: given
cat > "$ROOT/etc/clients.py" <<END
import socket, time
kept = [socket.create_connection(("127.0.0.1", 6380)) for _ in range(19)]
time.sleep(600)
END
configured
printf '[clients]\nclients_max = 20\n' >> /etc/replicad/primary.toml
pair_from_here
python "$ROOT/etc/clients.py" &
idle=$!
#: before redis-cli -p 6380 CLIENT LIST | sed
kill $idle

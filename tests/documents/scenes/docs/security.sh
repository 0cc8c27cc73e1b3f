#: before mkdir -p "${XDG_CONFIG_HOME
until_ test -S paris/node.sock
until_ test -S lyon/node.sock
#: after replicad config check paris
said "OK: a primary"
said "OK: a replica"
#: after redis-cli --tls
said "NOPERM User app has no permissions to run the 'shutdown' command"
#: before replicad switchover
until_ streams_over_tls 127.0.0.2:7380
#: after replicad switchover
said "is the primary"
test -e restored/CURRENT
#: before curl --silent
until_ streams_over_tls 127.0.0.2:7380
#: end
grep -q replicad_build_info metrics.txt
# No secret is anywhere but in its file.
for file in "$ROOT/output" paris/log lyon/log metrics.txt shared.toml; do
    if grep -qF -- "$(cat app.token)" "$file"; then echo "*** the token is in $file"; exit 1; fi
done

#: given
# Two nodes that an older build left.
archives=("$REPOSITORY"/tests/testdata/upgrade/*.tar.gz)
tar -xzf "${archives[0]}"
for node in first:7480:7481 second:7490:7491; do
    IFS=: read -r name clients replication <<< "$node"
    printf 'data = "%s"\nlisten = "127.0.0.1:%s"\nreplication = "127.0.0.1:%s"\n' \
        "$PWD/$name" "$clients" "$replication" > "$name.toml"
done
echo 'primary = "127.0.0.1:7481"' >> second.toml
well() { replicad status --check 127.0.0.1:7480 127.0.0.1:7490; }
replicad primary --config first.toml 2>> first.log &
replicad replica --config second.toml 2>> second.log &
until_ well
#: before replicad switchover 127.0.0.1:7480
until_ well
#: after replicad switchover 127.0.0.1:7480
said "127.0.0.1:7490 is the primary"
#: before replicad switchover 127.0.0.1:7490
until_ well
#: after replicad switchover 127.0.0.1:7490
said "127.0.0.1:7480 is the primary"
#: end
until_ well
test -e before/meta/1.json

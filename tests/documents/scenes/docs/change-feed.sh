#: given
# The table of the example, as text.
table() { "$PYTHON" -c 'import sqlite3; print(*(f"{k.decode()}={v.decode()}" for k, v in sqlite3.connect("mirror.db").execute("SELECT * FROM pairs ORDER BY key")), sep=" ")'; }
holds_table() { test "$(table)" = "$1"; }
acknowledged() { replicad slot list :$P6380 --json | so '[s["sequence"] for s in d] == ['"$1"']'; }
#: before redis-cli -p 6380 MSET user:1 ada
until_ answers $P6380
#: after replicad updates :6380
said "put user:1 = ada"
#: after replicad slot create
said "mirror"
said "reserved"
#: before redis-cli -p 6380 MSET user:1 "ada
until_ holds_table "user:1=ada user:2=grace"
#: after redis-cli -p 6380 DEL
until_ holds_table "user:1=ada lovelace user:3=barbara"
until_ acknowledged 5
#: end
until_ holds_table "user:1=ada lovelace user:3=barbara user:4=frances user:5=jean"
until_ acknowledged 7

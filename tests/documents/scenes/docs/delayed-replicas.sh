#: given
pair
#: before replicad replica-pause :6390 --at
until_ node 6390 'd["apply"]["received_sequence"] > d["applied_sequence"]'
#: after replicad replica-pause :6390 --at
said "is paused at"
#: before redis-cli -p 6390 GET order:7
until_ holds 6390 order:7 paid
#: after redis-cli -p 6390 GET order:7
said paid
#: after replicad promote :6390 --force
said "is the primary"

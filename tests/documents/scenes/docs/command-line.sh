#: given
pair
#: after replicad status --check
said "REPLICAD OK: 2 nodes well | '127.0.0.1:6380 replicas'=1;1:;;0"

"""The daemons beside their peers: Redis, rsync, RocksDB's shipping. `bench/README.md` says how to read it."""

"""What replicad costs, beside RocksDB in the same run, as ratios: `make bench`."""

"""What is held while somebody reads or copies: snapshots, leases, files that must stay."""

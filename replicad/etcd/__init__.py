"""etcd, as far as a failover needs it: six calls (`calls`), and who makes them (`gateway`)."""

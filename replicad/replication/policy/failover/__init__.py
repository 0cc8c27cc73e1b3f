"""Automatic failover: every decision about who leads, as pure functions over what etcd says."""

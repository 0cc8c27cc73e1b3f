"""Automatic failover: what a node does about who leads, by what etcd says."""

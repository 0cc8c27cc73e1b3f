"""`replicad demo`: a primary and two replicas on real data, killed, restarted and compared."""

"""The ports of a node: for clients, for replicas, for HTTP."""

"""The data of a node: the store that is open, whether it can be trusted, what is set aside."""

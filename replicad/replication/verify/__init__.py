"""Verification: whether nodes hold the same data, compared by digests at one mark."""

"""`replicad top`: what nodes did lately, second by second. All but the loop in the verb is pure."""

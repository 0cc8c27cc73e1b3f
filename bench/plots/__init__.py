"""`make bench-plots`: how the cost of a node grows, measured into JSON and drawn as PNGs."""

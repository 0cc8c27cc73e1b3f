"""The metrics of a node: what each is called, what it means, and where its value comes from."""

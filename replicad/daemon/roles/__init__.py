"""Who a node is: what it knows of the others, changes of role, its link to a primary."""

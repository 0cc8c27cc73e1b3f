"""What is wrong with nodes, decided from their status documents alone, and how that is shown.

Each file of rules looks at one subject of a document and yields `Finding`s, which name the remedy as well.
Nothing here asks a node, reads a clock or prints.
"""

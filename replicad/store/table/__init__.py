"""Tables on disk: writing, opening and their facts (`proto/table.md`)."""

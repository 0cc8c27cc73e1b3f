"""Opening and closing a database: for writing, for reading only, or to cut back its log."""

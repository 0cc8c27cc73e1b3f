"""What lies in a database's directory in addition to its data: the options file, and where the log is."""

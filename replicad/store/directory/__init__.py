"""What lies in a database's directory beside its data: the options file, and where the log is."""

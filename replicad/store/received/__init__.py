"""Log that a replica has received and not applied yet."""

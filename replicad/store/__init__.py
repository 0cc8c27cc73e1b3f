"""The log-structured merge store."""

"""Messages over a connection: framing, headers, the identification, heartbeats."""

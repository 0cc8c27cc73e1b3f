"""Who may do what at the client port: users, their secrets, their roles."""

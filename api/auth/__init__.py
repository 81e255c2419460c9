"""Who is calling and what they may do: people by password and session, machines by key, both as one `Principal`."""
